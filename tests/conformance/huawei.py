"""Huawei Cloud's own Python clients against the simulator, and their signer against the exporter's requests.

The simulator is our reading of the vendor's pages; here the vendor reads it back.
"""

import datetime
import sys
import urllib.parse

from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdkiam.v3 import IamClient, KeystoneListProjectsRequest
from huaweicloudsdkrds import v3 as rds

from checks import check, conclude, simulator, the_exporter_signs_as_the_client_does

GATEWAY_SECRET = "hwGatewaySecret0000000000000000000000001"
KEY_ID, SECRET = "HUAWEISIMULATEDPROD1", "SimulatedHuaweiProdSecret000000000000001"


def iam(url, key_id=KEY_ID, secret=SECRET):
    credentials = GlobalCredentials(key_id, secret, "simulated-domain")
    return IamClient.new_builder().with_credentials(credentials).with_endpoint(url).build()


def client(url, project, key_id=KEY_ID, secret=SECRET):
    credentials = BasicCredentials(key_id, secret, project)
    return rds.RdsClient.new_builder().with_credentials(credentials).with_endpoint(url).build()


def project_of(url, region):
    projects = iam(url).keystone_list_projects(KeystoneListProjectsRequest(name=region)).projects
    check(f"KeystoneListProjects of {region}: one project", len(projects) == 1, projects)
    return projects[0].id


def window(lookback):
    now = datetime.datetime.now(datetime.timezone.utc)
    form = "%Y-%m-%dT%H:%M:%S+0000"
    return (now - lookback).strftime(form), now.strftime(form)


def all_pages(ask, request, lookback, limit, **which):
    begin, end = window(lookback)
    rows = []
    while True:
        page = ask(
            request(begin_time=begin, end_time=end, offset=len(rows), limit=limit, **which)
        )
        rows += page.backups
        if not page.backups or len(rows) >= page.total_count:
            return rows, page.total_count


def check_rows(name, rows, total, instance, types):
    check(f"{name}: all {total} rows", len(rows) == total, len(rows))
    check(f"{name}: no row twice", len({row.id for row in rows}) == total)
    check(f"{name}: of that instance", {row.instance_id for row in rows} <= {instance})
    check(f"{name}: of that type", {row.type for row in rows} <= types, {row.type for row in rows})
    statuses = {row.status for row in rows}
    documented = {"BUILDING", "COMPLETED", "FAILED", "DELETING"}
    check(f"{name}: documented statuses", statuses <= documented, statuses)
    sizes = {type(row.size) for row in rows}
    check(f"{name}: sizes are whole numbers", sizes <= {int}, sizes)


def the_client_lists_everything(url, home):
    source = client(url, project_of(url, home))
    instances = source.list_instances(rds.ListInstancesRequest()).instances
    check("ListInstances: several instances", len(instances) > 1, len(instances))
    month, hours = datetime.timedelta(days=31), datetime.timedelta(hours=2)
    copied = 0
    for instance in (found.id for found in instances):
        for kind in ("auto", "manual"):
            rows, total = all_pages(
                source.list_backups, rds.ListBackupsRequest, month, 10,
                instance_id=instance, backup_type=kind,
            )
            check_rows(f"ListBackups of {instance}, {kind}", rows, total, instance, {kind})
        policy = source.show_off_site_backup_policy(
            rds.ShowOffSiteBackupPolicyRequest(instance_id=instance)
        ).policy_para
        if not policy[0].destination_region:
            check(f"ShowOffSiteBackupPolicy of {instance}: off", policy[0].keep_days == 0, policy)
            continue
        copied += 1
        away = client(url, policy[0].destination_project_id)
        for kind, lookback in (("auto", month), ("incremental", hours)):
            rows, total = all_pages(
                away.list_off_site_backups, rds.ListOffSiteBackupsRequest, lookback, 10,
                instance_id=instance, backup_type=kind,
            )
            name = f"ListOffSiteBackups of {instance}, {kind}"
            check_rows(name, rows, total, instance, {kind})
            if kind == "auto":
                check(f"{name}: there are some", total > 0)
        # The trap: asked at home, the same question has an empty answer.
        rows, total = all_pages(
            source.list_off_site_backups, rds.ListOffSiteBackupsRequest, month, 10,
            instance_id=instance, backup_type="auto",
        )
        check(f"ListOffSiteBackups of {instance} at home: nothing", (rows, total) == ([], 0), rows)
    check("ShowOffSiteBackupPolicy: some are copied", copied > 0, copied)


def the_client_is_refused_with_wrong_keys(url, home):
    project = project_of(url, home)
    for what, key_id, secret in (
        ("a wrong secret", KEY_ID, "wrong"),
        ("an unknown key", "HWUNKNOWN", SECRET),
    ):
        try:
            client(url, project, key_id, secret).list_instances(rds.ListInstancesRequest())
            check(f"{what} is refused", False, "it was accepted")
        except ClientRequestException as error:
            refused = (error.status_code, error.error_code)
            check(f"{what} is refused with APIGW.0301", refused == (401, "APIGW.0301"), refused)


def judge(request, body):
    """Signs a request of the exporter once more with the vendor's own code."""
    url = urllib.parse.urlsplit(request.path)
    sent = request.headers["authorization"]
    fields = dict(field.split("=", 1) for field in sent.split(" ", 1)[1].split(", "))
    again = SdkRequest(
        method=request.command,
        host=request.headers["host"],
        resource_path=url.path,
        query_params=urllib.parse.parse_qsl(url.query, keep_blank_values=True),
        header_params={name: request.headers[name] for name in fields["SignedHeaders"].split(";")},
        body=body.decode(),
    )
    signed = Signer(BasicCredentials(fields["Access"], GATEWAY_SECRET)).sign(again)
    same = sent == signed.header_params["Authorization"] and request.path == signed.uri
    name = url.path.rsplit("/", 1)[1]
    operation, answer = {
        "backups": ("ListBackups", {"backups": [], "total_count": 0}),
        "offsite-backups": ("ListOffSiteBackups", {"backups": [], "total_count": 0}),
        "projects": (
            "KeystoneListProjects",
            {"projects": [{"id": f"project/of+{region}", "name": region, "enabled": True}
                          for _, region in again.query_params]},
        ),
        "offsite-policy": (
            "ShowOffSiteBackupPolicy",
            {"policy_para": [{"backup_type": kind, "keep_days": 7, "destination_region": "cn-east-3"}
                             for kind in ("auto", "incremental")]},
        ),
    }[name]
    return operation, "x-security-token" in request.headers, same, answer


def main():
    sim, exporter = sys.argv[1:]
    with simulator(sim, "huawei-healthy", "huawei") as url:
        the_client_lists_everything(url, "cn-north-4")
        the_client_is_refused_with_wrong_keys(url, "cn-north-4")
    operations = (
        "ListOffSiteBackups", "ListBackups", "ShowOffSiteBackupPolicy", "KeystoneListProjects",
    )
    instance = "{id: 'conformance+/~*in01', region: cn-north-4}"
    the_exporter_signs_as_the_client_does(
        exporter, "huawei", judge, GATEWAY_SECRET, instance, operations
    )
    conclude("huaweicloudsdkrds, huaweicloudsdkiam", (*operations, "ListInstances"))


if __name__ == "__main__":
    main()
