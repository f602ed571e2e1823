"""Alibaba Cloud's own Python client against the simulator, and its signer against the exporter's requests.

The simulator is our reading of the vendor's pages; here the vendor reads it back.
"""

import datetime
import hashlib
import sys
import urllib.parse

from alibabacloud_rds20140815 import models
from alibabacloud_rds20140815.client import Client
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.exceptions import DaraException
from darabonba.request import DaraRequest

from checks import check, conclude, simulator, the_exporter_signs_as_the_client_does

GATEWAY_SECRET = "GatewaySecret0000000000000000001"
KEY_ID, SECRET = "LTAI5tSimulatedProdCn001", "SimulatedProdCnSecret0000000001"
INSTANCES = {
    "rm-uf6wjk5orders0001": ("cn-hangzhou", {"cn-shanghai"}),
    "rm-uf6wjk5payments01": ("cn-hangzhou", {"cn-shanghai", "cn-beijing"}),
    "pgm-2ze07tklusers001": ("cn-beijing", {"cn-shenzhen"}),
}


def client(url, key_id=KEY_ID, secret=SECRET):
    endpoint = urllib.parse.urlsplit(url).netloc
    return Client(
        Config(access_key_id=key_id, access_key_secret=secret, endpoint=endpoint, protocol="http")
    )


def times(form):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(days=31)).strftime(form), now.strftime(form)


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


def the_client_is_refused_with_wrong_keys(url):
    request = models.DescribeBackupsRequest(dbinstance_id="rm-uf6wjk5orders0001")
    for what, key_id, secret, code in (
        ("a wrong secret", KEY_ID, "wrong", "SignatureDoesNotMatch"),
        ("an unknown key", "LTAIunknown", SECRET, "InvalidAccessKeyId.NotFound"),
    ):
        try:
            client(url, key_id, secret).describe_backups(request)
            check(f"{what} is refused", False, "it was accepted")
        except DaraException as error:
            check(f"{what} is refused with {code}", error.code == code, error.code)


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
    rows = {"DescribeBackups": "Backup", "DescribeCrossRegionBackups": "Item"}[operation]
    answer = {"Items": {rows: []}, "TotalRecordCount": 0}
    return operation, "x-acs-security-token" in request.headers, sent == expected, answer


def main():
    sim, exporter = sys.argv[1:]
    with simulator(sim, "healthy", "alibaba") as url:
        the_client_lists_everything(url)
        the_client_is_refused_with_wrong_keys(url)
    operations = ("DescribeCrossRegionBackups", "DescribeBackups")
    instance = "{id: 'rm-conformance+/~*', region: cn-hangzhou}"
    the_exporter_signs_as_the_client_does(
        exporter, "alibaba", judge, GATEWAY_SECRET, instance, operations
    )
    conclude("alibabacloud-rds20140815", operations)


if __name__ == "__main__":
    main()
