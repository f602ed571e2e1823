"""Huawei Cloud's own Python clients against the simulator, and their signer against the exporter's requests.

The simulator is our reading of the vendor's pages; here the vendor reads it back.
"""

import datetime
import functools
import sys
import urllib.parse

from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdkiam.v3 import IamClient, KeystoneListProjectsRequest
from huaweicloudsdkrds import v3 as rds

import checks
from checks import check, conclude, simulator, the_exporter_signs_as_the_client_does

GATEWAY_SECRET = "hwGatewaySecret0000000000000000000000001"
KEY_ID, SECRET = "HUAWEISIMULATEDPROD1", "SimulatedHuaweiProdSecret000000000000001"


DEMO = "HWSIMULATEDPRODHW001", "hwSimulatedProdHwSecret0000000000000001"
RARE = "HWSIMULATEDRAREHW001", "hwSimulatedRareHwSecret0000000000000001"

# In samples, and not so in the clients.
STATED = {
    ".links.next is NoneType, not str",
    ".links.previous is NoneType, not str",
    # Where the policy is off.
    ".policy_para is no list",
}

refused = functools.partial(
    checks.refused,
    exception=ClientRequestException,
    code_of=lambda error: (error.status_code, error.error_code),
)


def iam(url, key_id=KEY_ID, secret=SECRET):
    def build(key_id, secret):
        credentials = GlobalCredentials(key_id, secret, "simulated-domain")
        return IamClient.new_builder().with_credentials(credentials).with_endpoint(url).build()

    return checks.Watched(build, read, key_id, secret)


def client(url, project, key_id=KEY_ID, secret=SECRET):
    def build(key_id, secret):
        credentials = BasicCredentials(key_id, secret, project)
        return rds.RdsClient.new_builder().with_credentials(credentials).with_endpoint(url).build()

    return checks.Watched(build, read, key_id, secret)


def read(_, answer):
    def fields(model):
        package = sys.modules[type(answer).__module__.split(".model.")[0]]
        model = getattr(package, model)
        return {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}

    return answer.to_json_object(), type(answer).__name__, fields


def project_of(url, region, *key):
    found = iam(url, *key).keystone_list_projects(KeystoneListProjectsRequest(name=region))
    names = [project.name for project in found.projects]
    check(f"KeystoneListProjects of {region}: one project", names == [region], names)
    return found.projects[0].id


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


def every_row(ask, request, rows_of, limit):
    """All rows of a list that is paged by offset."""
    rows = []
    while True:
        page = ask(request(offset=len(rows), limit=limit))
        rows += rows_of(page)
        if not rows_of(page) or len(rows) >= page.total_count:
            return rows


SHOP = "4c6f1e0aa7d24b8e9d53simhworders1in01"
BILLING = "91d0b7c25efa4d32a1c0simhwbilling1in03"
WIKI = "0f82c4d6713b4a59e6a7simhwwiki0001in01"


def the_client_lists_the_instances(url, home, away):
    projects = {region: project_of(url, region, *DEMO) for region in (home, away)}
    source, destination = (client(url, project, *DEMO) for project in projects.values())
    for limit in (2, 100):
        rows = every_row(
            source.list_instances, rds.ListInstancesRequest, lambda page: page.instances, limit
        )
        name = f"ListInstances by {limit}"
        found = sorted((row.name, row.datastore.type) for row in rows)
        regions = {row.region for row in rows}
        check(f"{name}: of that region", regions == {home}, regions)
        expected = [("billing", "PostgreSQL"), ("shop", "MySQL"), ("wiki", "MySQL")]
        check(f"{name}: the scenario's", found == expected, found)
        for where, ask in ((home, source), (away, destination)):
            rows = every_row(
                ask.list_off_site_instances, rds.ListOffSiteInstancesRequest,
                lambda page: page.offsite_backup_instances, 1 if limit == 2 else limit,
            )
            found = sorted(
                (row.id, row.name, row.source_region, row.source_project_id,
                 row.destination_region, row.destination_project_id, row.keep_days)
                for row in rows
            )
            between = (home, projects[home], away, projects[away], 31)
            expected = [(SHOP, "shop", *between), (BILLING, "billing", *between)]
            name = f"ListOffSiteInstances in {where} by {limit}"
            check(f"{name}: the scenario's", found == expected, found)
    rows = destination.list_instances(rds.ListInstancesRequest()).instances
    check("ListInstances at the destination: none", rows == [], rows)
    for what, ask, request in (
        ("ListInstances of 101 rows", source.list_instances, rds.ListInstancesRequest(limit=101)),
        ("ListOffSiteInstances of 101 rows", source.list_off_site_instances,
         rds.ListOffSiteInstancesRequest(limit=101)),
    ):
        refused(what, (400, "DBS.280001"), ask, request)


def the_client_reads_policies(url, home, away):
    source = client(url, project_of(url, home, *DEMO), *DEMO)
    destination = project_of(url, away, *DEMO)
    for instance, window, copied in (
        (SHOP, "18:00-19:00", True), (BILLING, "17:00-18:00", True), (WIKI, "20:00-21:00", False),
    ):
        policy = source.show_backup_policy(
            rds.ShowBackupPolicyRequest(instance_id=instance)
        ).backup_policy
        found = policy.keep_days, policy.start_time, policy.period
        check(f"ShowBackupPolicy of {instance}", found == (31, window, "1,2,3,4,5,6,7"), found)
        answer = source.show_off_site_backup_policy(
            rds.ShowOffSiteBackupPolicyRequest(instance_id=instance)
        )
        found = answer.to_json_object()["policy_para"]
        expected = [
            {"backup_type": kind, "keep_days": 31, "destination_region": away,
             "destination_project_id": destination}
            for kind in ("auto", "incremental")
        ]
        name = f"ShowOffSiteBackupPolicy of {instance}"
        check(f"{name}: as sent", found == (expected if copied else {"keep_days": 0}), found)
        # The client makes a list of the object.
        found = [part.to_dict() for part in answer.policy_para]
        switched_off = dict.fromkeys(expected[0]) | {"keep_days": 0}
        check(f"{name}: as read", found == (expected if copied else [switched_off]), found)


def the_client_reads_windows(url, home, away):
    source = client(url, project_of(url, home, *DEMO), *DEMO)
    destination = client(url, project_of(url, away, *DEMO), *DEMO)
    now = datetime.datetime.now(datetime.timezone.utc)
    before = {days: now - datetime.timedelta(days=days) for days in (1, 3, 20)}
    before = {days: time.timestamp() * 1000 for days, time in before.items()}

    def spans(ask, request, **which):
        return [(span.start_time, span.end_time) for span in ask(request(**which)).restore_time]

    at_home = spans(source.list_restore_times, rds.ListRestoreTimesRequest, instance_id=SHOP)
    whole = len(at_home) == 1 and at_home[0][0] < before[20] and at_home[0][1] > before[1]
    check("ListRestoreTimes: one window until now", whole, at_home)
    day = datetime.datetime.fromtimestamp(before[3] / 1000, datetime.timezone.utc)
    day = day.replace(hour=0, minute=0, second=0, microsecond=0)
    of_a_day = spans(
        source.list_restore_times, rds.ListRestoreTimesRequest,
        instance_id=SHOP, date=day.strftime("%Y-%m-%d"),
    )
    day = day.timestamp() * 1000
    check("ListRestoreTimes of a day", of_a_day == [(day, day + 86_400_000)], of_a_day)

    ask, request = destination.list_off_site_restore_times, rds.ListOffSiteRestoreTimesRequest
    found = spans(ask, request, instance_id=SHOP)
    check("ListOffSiteRestoreTimes: two windows", len(found) == 2, found)
    (begin, lost), (found_again, end) = sorted(found)
    whole = begin < before[20] and before[3] < lost < found_again < end and end > before[1]
    check("ListOffSiteRestoreTimes: the hole", whole, found)
    found = spans(ask, request, instance_id=BILLING)
    check("ListOffSiteRestoreTimes: ended with the copies",
          len(found) == 1 and found[0][1] < before[3] + 3_600_000, found)
    # The trap: asked at home, the same question is about the backups there.
    found = spans(source.list_off_site_restore_times, request, instance_id=SHOP)
    check("ListOffSiteRestoreTimes at home: the local window",
          len(found) == 1 and found[0][0] == at_home[0][0], (found, at_home))
    for what, ask, request in (
        ("ListRestoreTimes", source.list_restore_times, rds.ListRestoreTimesRequest),
        ("ListOffSiteRestoreTimes", ask, request),
        ("ShowBackupPolicy", source.show_backup_policy, rds.ShowBackupPolicyRequest),
        ("ShowOffSiteBackupPolicy", source.show_off_site_backup_policy,
         rds.ShowOffSiteBackupPolicyRequest),
    ):
        unknown = request(instance_id="0000000000000000000000000000000in01")
        refused(f"{what} of an unknown instance", (404, "DBS.200002"), ask, unknown)
        if "Times" in what:
            undated = request(instance_id=SHOP, date="yesterday")
            refused(f"{what} of no day", (400, "DBS.280001"), ask, undated)


def the_client_reads_rarities(url, home, away):
    source = client(url, project_of(url, home, *RARE), *RARE)
    ask = source.list_instances
    primary, replica = sorted(ask(rds.ListInstancesRequest()).instances, key=lambda row: row.name)
    related = [
        (row.name, row.type, [(other.id, other.type) for other in row.related_instance])
        for row in (primary, replica)
    ]
    expected = [
        ("primary", "Ha", [(replica.id, "replica")]),
        ("replica", "Replica", [(primary.id, "replica_of")]),
    ]
    check("ListInstances: a replica and its primary", related == expected, related)
    for kind, names in (("Replica", ["replica"]), ("Ha", ["primary"]), ("Single", [])):
        found = [row.name for row in ask(rds.ListInstancesRequest(type=kind)).instances]
        check(f"ListInstances of type {kind}", found == names, found)
    answer = source.show_off_site_backup_policy(
        rds.ShowOffSiteBackupPolicyRequest(instance_id=primary.id)
    ).to_json_object()
    switched_off = {"policy_para": {"keep_days": 0}}
    check("ShowOffSiteBackupPolicy: switched off", answer == switched_off, answer)
    destination = client(url, project_of(url, away, *RARE), *RARE)
    for where, which in ((home, source), (away, destination)):
        answer = which.list_off_site_instances(rds.ListOffSiteInstancesRequest()).to_json_object()
        nothing = {"offsite_backup_instances": [], "total_count": 0}
        check(f"ListOffSiteInstances in {where}: none switched off", answer == nothing, answer)
    for operation, ask, request in (
        ("ShowBackupPolicy", source.show_backup_policy, rds.ShowBackupPolicyRequest),
        ("ShowOffSiteBackupPolicy", source.show_off_site_backup_policy,
         rds.ShowOffSiteBackupPolicyRequest),
        ("ListRestoreTimes", source.list_restore_times, rds.ListRestoreTimesRequest),
        ("ListOffSiteRestoreTimes", destination.list_off_site_restore_times,
         rds.ListOffSiteRestoreTimesRequest),
    ):
        request = request(instance_id=replica.id)
        refused(f"{operation} of a replica", (400, "DBS.200086"), ask, request)


def the_client_is_refused_with_wrong_keys():
    checks.every_operation_is_refused_with_wrong_keys(
        refused, "HWUNKNOWN", (401, "APIGW.0301"), (401, "APIGW.0301")
    )


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
    nothing = {"total_count": 0}
    operation, answer = {
        "backups": ("ListBackups", {"backups": [], **nothing}),
        "offsite-backups": ("ListOffSiteBackups", {"backups": [], **nothing}),
        "instances": ("ListInstances", {"instances": [], **nothing}),
        "offsite-backup-instance": (
            "ListOffSiteInstances", {"offsite_backup_instances": [], **nothing},
        ),
        "restore-time": ("ListRestoreTimes", {"restore_time": []}),
        "offsite-restore-time": ("ListOffSiteRestoreTimes", {"restore_time": []}),
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
    }.get(name, (name, {}))
    return operation, "x-security-token" in request.headers, same, answer


def main():
    sim, exporter = sys.argv[1:]
    with simulator(sim, "huawei-healthy", "huawei") as url:
        the_client_lists_everything(url, "cn-north-4")
        the_client_is_refused_with_wrong_keys()
    with simulator(sim, "demo", "huawei") as url:
        the_client_lists_the_instances(url, "cn-north-4", "cn-east-3")
        the_client_reads_policies(url, "cn-north-4", "cn-east-3")
        the_client_reads_windows(url, "cn-north-4", "cn-east-3")
        the_client_is_refused_with_wrong_keys()
    with simulator(sim, "rarities", "huawei") as url:
        the_client_reads_rarities(url, "cn-north-4", "cn-east-3")
    operations = (
        "ListOffSiteBackups", "ListBackups", "ShowOffSiteBackupPolicy", "KeystoneListProjects",
    )
    instance, region = "{id: 'conformance+/~*in01', region: cn-north-4}", "cn-north-4"
    the_exporter_signs_as_the_client_does(
        exporter, "huawei", judge, GATEWAY_SECRET, instance, region, operations
    )
    conclude("huaweicloudsdkrds, huaweicloudsdkiam", STATED)


if __name__ == "__main__":
    main()
