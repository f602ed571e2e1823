"""Alibaba Cloud's own Python client against the simulator, and its signer against the exporter's requests.

The simulator is our reading of the vendor's pages; here the vendor reads it back.
"""

import datetime
import functools
import hashlib
import inspect
import re
import sys
import urllib.parse

from alibabacloud_rds20140815 import models
from alibabacloud_rds20140815.client import Client
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.exceptions import DaraException
from darabonba.request import DaraRequest

import checks
from checks import check, conclude, simulator, the_exporter_signs_as_the_client_does

GATEWAY_SECRET = "GatewaySecret0000000000000000001"
KEY_ID, SECRET = "LTAI5tSimulatedProdCn001", "SimulatedProdCnSecret0000000001"
# The demo's other account.
ABROAD = "LTAI5tSimulatedProdIntl1", "SimulatedProdIntlSecret00000001"
RARE = "LTAI5tSimulatedRareCn001", "SimulatedRareCnSecret0000000001"
INSTANCES = {
    "rm-uf6wjk5orders0001": ("cn-hangzhou", {"cn-shanghai"}),
    "rm-uf6wjk5payments01": ("cn-hangzhou", {"cn-shanghai", "cn-beijing"}),
    "pgm-2ze07tklusers001": ("cn-beijing", {"cn-shenzhen"}),
}


# In samples of DescribeBackups, and not, or not so, in the client.
STATED = {
    ".Items.Backup.BackupLocation is unknown",
    ".Items.Backup.BackupScale is unknown",
    ".Items.Backup.HostInstanceID is int, not str",
    ".TotalBackupSize is unknown",
}

refused = functools.partial(
    checks.refused, exception=DaraException, code_of=lambda error: error.code
)


class Remembering(Client):
    """Keeps the body of the last answer, of which the models drop what they do not know."""

    def call_api(self, *of_what):
        answer = super().call_api(*of_what)
        self.last_body = answer["body"]
        return answer


def client(url, key_id=KEY_ID, secret=SECRET):
    def build(key_id, secret):
        endpoint = urllib.parse.urlsplit(url).netloc
        return Remembering(
            Config(
                access_key_id=key_id, access_key_secret=secret, endpoint=endpoint, protocol="http"
            )
        )

    def read(rds, answer):
        return rds.last_body, type(answer.body).__name__, fields

    return checks.Watched(build, read, key_id, secret)


def fields(model):
    """The fields of a model with their kinds. Their names in an answer stand in its code only."""
    model = getattr(models, model)
    mention = r"m\.get\('(\w+)'\)(?:(?!m\.get).)*?self\.(\w+)"
    mentions = re.findall(mention, inspect.getsource(model.from_map), re.DOTALL)
    kinds = {
        attribute: kind.replace("main_models.", "").replace("List", "list")
        for attribute, kind in model.__init__.__annotations__.items()
    }
    # The first mention of a name is with its own attribute.
    return {name: kinds[attribute] for name, attribute in reversed(mentions)}


def times(form, hours=31 * 24):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(hours=hours)).strftime(form), now.strftime(form)


def all_pages(ask, rows_of, page_size):
    rows, number = [], 1
    while True:
        body = ask(number, page_size).body
        page = rows_of(body)
        rows += page
        if len(page) < page_size or len(rows) >= int(body.total_record_count):
            return rows, int(body.total_record_count)
        number += 1


def the_client_lists_everything(url):
    rds = client(url)
    for instance, (region, destinations) in INSTANCES.items():
        for page_size in (30, 50, 100):
            start, end = times("%Y-%m-%dT%H:%M:%SZ")
            copies, total = all_pages(
                lambda number, size: rds.describe_cross_region_backups(
                    models.DescribeCrossRegionBackupsRequest(
                        dbinstance_id=instance, region_id=region, start_time=start, end_time=end,
                        page_number=number, page_size=size,
                    )
                ),
                lambda body: body.items.item,
                page_size,
            )
            name = f"DescribeCrossRegionBackups of {instance} by {page_size}"
            check(f"{name}: all {total} rows", len(copies) == total and total >= 31, len(copies))
            check(f"{name}: no row twice", len({row.cross_backup_id for row in copies}) == total)
            regions = {row.cross_backup_region for row in copies}
            check(f"{name}: every destination", regions == destinations, regions)
            sizes = {type(row.cross_backup_set_size) for row in copies}
            check(f"{name}: sizes are whole numbers", sizes == {int}, sizes)

            start, end = times("%Y-%m-%dT%H:%MZ")
            backups, total = all_pages(
                lambda number, size: rds.describe_backups(
                    models.DescribeBackupsRequest(
                        dbinstance_id=instance, start_time=start, end_time=end,
                        page_number=number, page_size=size,
                    )
                ),
                lambda body: body.items.backup,
                page_size,
            )
            name = f"DescribeBackups of {instance} by {page_size}"
            check(f"{name}: all {total} rows", len(backups) == total and total >= 31, len(backups))
            owners = {row.dbinstance_id for row in backups}
            check(f"{name}: of that instance", owners == {instance}, owners)
            statuses = {row.backup_status for row in backups}
            check(f"{name}: documented statuses", statuses <= {"Success", "Failed"}, statuses)


def the_client_lists_the_instances(url):
    rds, abroad = client(url), client(url, *ABROAD)

    def by_token(client, region):
        rows, token = [], None
        while True:
            body = client.describe_dbinstances(
                models.DescribeDBInstancesRequest(
                    region_id=region, max_results=4, next_token=token
                )
            ).body
            rows += body.items.dbinstance
            token = body.next_token
            if not token:
                return rows

    def by_number(client, region, page_size):
        return all_pages(
            lambda number, size: client.describe_dbinstances(
                models.DescribeDBInstancesRequest(
                    region_id=region, page_number=number, page_size=size
                )
            ),
            lambda body: body.items.dbinstance,
            page_size,
        )[0]

    for which, region, names in (
        (rds, "cn-hangzhou",
         {"orders", "orders-readonly", "payments", "inventory", "coupons", "sessions"}),
        (rds, "cn-beijing", {"users", "drafts", "archive", "reporting"}),
        (rds, "cn-shenzhen", set()),
        # Without the one that was released.
        (abroad, "eu-central-1", {"search", "billing", "events"}),
    ):
        found = [by_token(which, region), *(by_number(which, region, size) for size in (4, 30))]
        listed = [sorted(row.dbinstance_description for row in rows) for rows in found]
        name = f"DescribeDBInstances of {region}"
        check(f"{name}: the scenario's", listed == [sorted(names)] * 3, listed)
        regions = {row.region_id for rows in found for row in rows}
        check(f"{name}: of that region", regions <= {region}, regions)
    rows = {row.dbinstance_description: row for row in by_number(rds, "cn-hangzhou", 30)}
    replicas = rows["orders"].read_only_dbinstance_ids.read_only_dbinstance_id
    kinds = {rows[name].dbinstance_type for name in ("orders", "payments")}
    replica = rows["orders-readonly"].dbinstance_type, rows["orders-readonly"].master_instance_id
    check("DescribeDBInstances: primaries", kinds == {"Primary"}, kinds)
    expected = "ReadOnly", rows["orders"].dbinstance_id
    check("DescribeDBInstances: the replica", replica == expected, replica)
    replicas = [replica.dbinstance_id for replica in replicas]
    check("DescribeDBInstances: its primary", replicas == ["rr-uf6wjk5orders0001"], replicas)
    for what, code, request in (
        ("without a region", "MissingParameter", {}),
        ("of 101 rows", "InvalidParameters.Format", {"page_size": 101}),
        ("with a made-up token", "Invalid.NextToken", {"next_token": "2"}),
    ):
        request = models.DescribeDBInstancesRequest(
            **({"region_id": "cn-hangzhou"} if request else {}), **request
        )
        refused(f"DescribeDBInstances {what}", code, rds.describe_dbinstances, request)


def the_client_reads_the_policies(url):
    rds = client(url)
    ask = rds.describe_cross_region_backup_dbinstance

    def request(region, *ids, **page):
        return models.DescribeCrossRegionBackupDBInstanceRequest(
            region_id=region, dbinstance_id=",".join(ids) or None, **page
        )

    orders, payments, coupons = (
        "rm-uf6wjk5orders0001", "rm-uf6wjk5payments01", "rm-uf6coupons000001",
    )
    of_region = {
        (orders, "cn-shanghai", "Enable", "Enable"),
        (payments, "cn-shanghai", "Enable", "Enable"),
        (payments, "cn-beijing", "Enable", "Enable"),
        (coupons, "cn-shanghai", "Disable", "Disable"),
        ("rm-uf6inventory0001", "cn-shanghai", "Enable", "Disable"),
        ("rm-uf6sessions00001", "cn-shanghai", "Enable", "Enable"),
    }
    for what, expected, asked in (
        ("of a region", of_region, request("cn-hangzhou", page_number=1, page_size=30)),
        ("of three instances", {row for row in of_region if row[0] in (orders, payments, coupons)},
         request("cn-hangzhou", orders, payments, coupons)),
        ("of one without a policy", set(), request("cn-beijing", "rm-2zedrafts0000001")),
    ):
        body = ask(asked).body
        found = {
            (row.dbinstance_id, row.cross_backup_region, row.backup_enabled, row.log_backup_enabled)
            for row in body.items.item
        }
        name = f"DescribeCrossRegionBackupDBInstance {what}"
        check(f"{name}: the scenario's", found == expected, found)
        check(f"{name}: all rows", body.total_records == len(expected), body.total_records)
        kept = {row.retention for row in body.items.item}
        check(f"{name}: kept as long as it says", kept <= {31, 0}, kept)
    for what, code, asked in (
        ("of an unknown instance", "InvalidDBInstanceId.NotFound", ["rm-unknown"]),
        ("of one in another region", "InvalidDBInstanceId.NotFound", ["rm-2zedrafts0000001"]),
        ("of 31 instances", "InvalidParameters.Format", [orders] * 31),
    ):
        asked = request("cn-hangzhou", *asked)
        refused(f"DescribeCrossRegionBackupDBInstance {what}", code, ask, asked)
    past = request("cn-hangzhou", page_number=2, page_size=30)
    refused(
        "DescribeCrossRegionBackupDBInstance past the end", "InvalidPage.notFound", ask, past
    )


def hole(files):
    """The begin and the end of the first hole between log files."""
    files = sorted(files, key=lambda file: file.log_begin_time)
    for file, following in zip(files, files[1:]):
        if file.log_end_time != following.log_begin_time:
            return file.log_end_time, following.log_begin_time
    return None


def the_client_lists_logs_and_windows(url):
    rds, abroad = client(url), client(url, *ABROAD)

    def logs(client, instance, region, destination, lookback):
        start, end = times("%Y-%m-%dT%H:%M:%SZ", lookback)
        rows, total = all_pages(
            lambda number, size: client.describe_cross_region_log_backup_files(
                models.DescribeCrossRegionLogBackupFilesRequest(
                    dbinstance_id=instance, region_id=region, cross_backup_region=destination,
                    start_time=start, end_time=end, page_number=number, page_size=size,
                )
            ),
            lambda body: body.items.item,
            30,
        )
        name = f"DescribeCrossRegionLogBackupFiles of {instance}"
        check(f"{name}: all {total} rows", len(rows) == total > 0, len(rows))
        ids = {row.cross_log_backup_id for row in rows}
        check(f"{name}: no row twice", len(ids) == total, len(ids))
        return rows

    def recovery_of_a_copy(client, instance, region):
        start, end = times("%Y-%m-%dT%H:%M:%SZ")
        body = client.describe_cross_region_backups(
            models.DescribeCrossRegionBackupsRequest(
                dbinstance_id=instance, region_id=region, start_time=start, end_time=end
            )
        ).body
        # Not the newest one, which may be newer than a hole.
        copy = sorted(body.items.item, key=lambda copy: copy.backup_start_time)[-2]
        window = client.describe_available_recovery_time(recovery(region, copy.cross_backup_id))
        name = f"DescribeAvailableRecoveryTime of {instance}"
        seen = window.body.cross_backup_id, window.body.region_id, window.body.recovery_begin_time
        stated = copy.cross_backup_id, region, copy.consistent_time
        check(f"{name}: from that set on", seen == stated, (seen, stated))
        return window.body.recovery_end_time

    def recovery(region, number, instance=None):
        return models.DescribeAvailableRecoveryTimeRequest(
            region_id=region, cross_backup_id=number, dbinstance_id=instance
        )

    def local(instance, region=None):
        return models.DescribeLocalAvailableRecoveryTimeRequest(
            dbinstance_id=instance, region=region
        )

    files = logs(rds, "rm-uf6wjk5payments01", "cn-hangzhou", None, 5)
    regions = {file.cross_backup_region for file in files}
    check("Log files of both destinations", regions == {"cn-shanghai", "cn-beijing"}, regions)
    files = logs(rds, "rm-uf6wjk5payments01", "cn-hangzhou", "cn-beijing", 5)
    regions = {file.cross_backup_region for file in files}
    check("Log files of one destination", regions == {"cn-beijing"}, regions)
    check("Log files without a hole", hole(files) is None, hole(files))
    broken = hole(logs(abroad, "rm-gw8search0000001", "eu-central-1", None, 5))
    check("Log files with the scenario's hole", broken is not None)

    ends = recovery_of_a_copy(abroad, "rm-gw8search0000001", "eu-central-1")
    check("A copy can be restored until the hole", broken and ends == broken[0], (ends, broken))
    ends = recovery_of_a_copy(rds, "rm-uf6wjk5orders0001", "cn-hangzhou")
    lately, now = times("%Y-%m-%dT%H:%M:%SZ", 1)
    check("A copy can be restored until an hour ago at least", lately <= ends <= now, ends)
    ends = recovery_of_a_copy(abroad, "rm-gw8legacycrm0001", "eu-central-1")
    released = ends < times("%Y-%m-%dT%H:%M:%SZ", 72)[0]
    check("A copy can be restored until the instance was released", released, ends)

    for instance, region in (
        ("rm-uf6wjk5orders0001", "cn-hangzhou"), ("pgm-2ze07tklusers001", None),
    ):
        body = rds.describe_local_available_recovery_time(local(instance, region)).body
        begins, ends = body.recovery_begin_time, body.recovery_end_time
        lately, now = times("%Y-%m-%dT%H:%M:%SZ", 1)
        name = f"DescribeLocalAvailableRecoveryTime of {instance}"
        check(f"{name}: of that instance", body.dbinstance_id == instance, body.dbinstance_id)
        check(f"{name}: until now", lately <= ends <= now and begins < lately, (begins, ends))

    start, end = times("%Y-%m-%dT%H:%M:%SZ")
    for what, code, instance, region in (
        ("an unknown instance", "InvalidDBInstance.NotFound", "rm-unknown", "cn-hangzhou"),
        ("a replica", "ReadDBInstanceNotSupport", "rr-uf6wjk5orders0001", "cn-hangzhou"),
        ("an engine without copies", "CrossBackupNotSupport", "rm-2zearchive000001", "cn-beijing"),
    ):
        request = models.DescribeCrossRegionLogBackupFilesRequest(
            dbinstance_id=instance, region_id=region, start_time=start, end_time=end
        )
        ask = rds.describe_cross_region_log_backup_files
        refused(f"DescribeCrossRegionLogBackupFiles of {what}", code, ask, request)
    copies = {
        instance: rds.describe_cross_region_backups(
            models.DescribeCrossRegionBackupsRequest(
                dbinstance_id=instance, region_id=region, start_time=start, end_time=end
            )
        ).body.items.item[0].cross_backup_id
        for instance, region in (
            ("pgm-2ze07tklusers001", "cn-beijing"), ("rm-uf6inventory0001", "cn-hangzhou"),
        )
    }
    for what, code, request in (
        ("an unknown set", "InvalidBackupSetID.NotFound", recovery("cn-hangzhou", 1)),
        ("another engine", "IncorrectDBInstanceEngine",
         recovery("cn-beijing", copies["pgm-2ze07tklusers001"])),
        ("a set without logs", "NoAvailableLogBackup",
         recovery("cn-hangzhou", copies["rm-uf6inventory0001"])),
        ("an unknown instance", "InvalidDBInstance.NotFound",
         recovery("cn-hangzhou", copies["rm-uf6inventory0001"], "rm-unknown")),
    ):
        ask = rds.describe_available_recovery_time
        refused(f"DescribeAvailableRecoveryTime of {what}", code, ask, request)
    for what, code, which, instance in (
        ("an unknown instance", "InvalidDBInstanceName.NotFound", rds, "rm-unknown"),
        ("a released instance", "InvalidDBInstanceName.NotFound", abroad, "rm-gw8legacycrm0001"),
        ("a replica", "ReadDBInstanceNotSupport", rds, "rr-uf6wjk5orders0001"),
        ("an instance without backups", "InvalidBackup.NotFound", rds, "rm-2zereporting001"),
        ("another engine", "IncorrectDBInstanceEngine", abroad, "rm-gs5ledgerfin0001"),
    ):
        ask = which.describe_local_available_recovery_time
        refused(f"DescribeLocalAvailableRecoveryTime of {what}", code, ask, local(instance))


def the_client_reads_rarities(url):
    request = models.DescribeLocalAvailableRecoveryTimeRequest(dbinstance_id="rm-uf6logless0000001")
    ask = client(url, *RARE).describe_local_available_recovery_time
    what = "DescribeLocalAvailableRecoveryTime of an instance without logs"
    refused(what, "LogBackupNotEnabled", ask, request)


def the_client_is_refused_with_wrong_keys():
    checks.every_operation_is_refused_with_wrong_keys(
        refused, "LTAIunknown", "SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound"
    )


def judge(request, body):
    """Signs a request of the exporter once more with the vendor's own code."""
    url = urllib.parse.urlsplit(request.path)
    sent = request.headers["authorization"]
    fields = dict(field.split("=", 1) for field in sent.split(" ", 1)[1].split(","))
    again = DaraRequest()
    again.method, again.pathname = request.command, url.path
    again.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    again.headers = {name: request.headers[name] for name in fields["SignedHeaders"].split(";")}
    payload = hashlib.sha256(body).hexdigest()
    expected = Utils.get_authorization(
        again, "ACS3-HMAC-SHA256", payload, fields["Credential"], GATEWAY_SECRET
    )
    operation = request.headers["x-acs-action"]
    name = {"DescribeBackups": "Backup", "DescribeDBInstances": "DBInstance"}.get(operation, "Item")
    start, end = times("%Y-%m-%dT%H:%M:%SZ", 2)
    # One copy, so that there is something of which to ask how far it can be restored.
    copy = {
        "CrossBackupId": 14377, "CrossBackupRegion": "cn-shanghai", "CrossBackupSetSize": 1,
        "BackupStartTime": start, "BackupEndTime": start, "BackupSetStatus": 0,
        "BackupType": "F", "Engine": "mysql",
    }
    rows = [copy] if operation == "DescribeCrossRegionBackups" else []
    answer = {
        "Items": {name: rows}, "TotalRecordCount": len(rows), "TotalRecords": len(rows),
        "RecoveryBeginTime": start, "RecoveryEndTime": end, "RequestId": "1",
    }
    return operation, "x-acs-security-token" in request.headers, sent == expected, answer


def main():
    sim, exporter = sys.argv[1:]
    with simulator(sim, "healthy", "alibaba") as url:
        the_client_lists_everything(url)
        the_client_is_refused_with_wrong_keys()
    with simulator(sim, "demo", "alibaba") as url:
        the_client_lists_the_instances(url)
        the_client_reads_the_policies(url)
        the_client_lists_logs_and_windows(url)
        the_client_is_refused_with_wrong_keys()
    with simulator(sim, "rarities", "alibaba") as url:
        the_client_reads_rarities(url)
    operations = ("DescribeCrossRegionBackups", "DescribeBackups")
    instance, region = "{id: 'rm-conformance+/~*', region: cn-hangzhou}", "cn-hangzhou"
    the_exporter_signs_as_the_client_does(
        exporter, "alibaba", judge, GATEWAY_SECRET, instance, region, operations
    )
    conclude("alibabacloud-rds20140815", STATED)


if __name__ == "__main__":
    main()
