"""Volcengine's own Python client against the simulator, and its signer against the exporter's requests.

The simulator is our reading of the vendor's pages; here the vendor reads it back.
"""

import datetime
import sys
import unittest.mock
import urllib.parse

import volcenginesdkcore
import volcenginesdkredis
from volcenginesdkcore.rest import ApiException
from volcenginesdkcore.signv4 import SignerV4

from checks import check, conclude, simulator, the_exporter_signs_as_the_client_does

GATEWAY_SECRET = "U0dhdGV3YXlTZWNyZXQwMDAwMDAwMDAwMDAwMDE="
KEY_ID = "AKLTSimulatedCacheCn0000001"
SECRET = "U2ltdWxhdGVkQ2FjaGVDblNlY3JldDAwMDE="
REGION = "cn-beijing"


def client(url, key_id=KEY_ID, secret=SECRET, region=REGION):
    configuration = volcenginesdkcore.Configuration()
    configuration.ak, configuration.sk, configuration.region = key_id, secret, region
    configuration.host, configuration.scheme = urllib.parse.urlsplit(url).netloc, "http"
    configuration.auto_retry = False
    return volcenginesdkredis.REDISApi(volcenginesdkcore.ApiClient(configuration))


def window():
    now = datetime.datetime.now(datetime.timezone.utc)
    form = "%Y-%m-%dT%H:%M:%SZ"
    return (now - datetime.timedelta(days=31)).strftime(form), now.strftime(form)


def all_pages(ask, request, page_size, **which):
    start, end = window()
    rows, number = [], 1
    while True:
        page = ask(
            request(
                start_time=start, end_time=end, page_number=number, page_size=page_size, **which
            )
        )
        rows += page.backups or []
        if not page.backups or number * page_size >= page.total:
            return rows, page.total
        number += 1


def the_client_lists_everything(url):
    redis = client(url)
    listings = (
        (
            "DescribeCrossRegionBackups",
            redis.describe_cross_region_backups,
            volcenginesdkredis.DescribeCrossRegionBackupsRequest,
        ),
        (
            "DescribeBackups",
            redis.describe_backups,
            volcenginesdkredis.DescribeBackupsRequest,
        ),
    )
    for operation, ask, request in listings:
        known, first = None, set()
        for page_size in (10, 100):
            rows, total = all_pages(ask, request, page_size, scope="AccountInstances")
            name = f"{operation} of the account by {page_size}"
            check(f"{name}: all {total} rows", len(rows) == total and total > 20, len(rows))
            ids = {(row.backup_point_id, getattr(row, "target_region", None)) for row in rows}
            check(f"{name}: no row twice", len(ids) == total, len(ids))
            check(f"{name}: the same rows", known in (None, ids))
            sizes = {type(row.size) for row in rows}
            check(f"{name}: sizes are whole numbers", sizes == {int}, sizes)
            statuses = {row.status for row in rows}
            documented = {"Creating", "Available", "Unavailable", "Deleting"}
            check(f"{name}: documented statuses", statuses <= documented, statuses)
            known, first = ids, {row.instance_id for row in rows}
        check(f"{operation}: several instances", len(first) > 1, first)
        apart = 0
        for instance in sorted(first):
            rows, total = all_pages(ask, request, 100, scope="OneInstance", instance_id=instance)
            owners = {row.instance_id for row in rows}
            check(f"{operation} of {instance}: only its own", owners == {instance}, owners)
            check(f"{operation} of {instance}: all {total} rows", len(rows) == total)
            apart += total
        check(f"{operation}: one by one as many as together", apart == len(known), apart)


def the_client_is_refused_with_wrong_keys(url):
    request = volcenginesdkredis.DescribeBackupsRequest(
        scope="AccountInstances", page_number=1, page_size=10
    )
    for what, key_id, secret, code in (
        ("a wrong secret", KEY_ID, "wrong", "SignatureDoesNotMatch"),
        ("an unknown key", "AKLTunknown", SECRET, "InvalidAccessKey"),
    ):
        try:
            client(url, key_id, secret).describe_backups(request)
            check(f"{what} is refused", False, "it was accepted")
        except ApiException as error:
            check(f"{what} is refused with {code}", code in str(error.body), error.body)


def judge(request, body):
    """Signs a request of the exporter once more with the vendor's own code."""
    url = urllib.parse.urlsplit(request.path)
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    sent = request.headers["authorization"]
    fields = dict(field.split("=", 1) for field in sent.split(" ", 1)[1].split(", "))
    key_id, _, region, service, _ = fields["Credential"].split("/")
    # The client's code wants its own spelling of the names, and dates a request itself.
    again = {name.title(): request.headers[name] for name in fields["SignedHeaders"].split(";")}
    token = again.pop("X-Security-Token", None)
    dated = datetime.datetime.strptime(again["X-Date"], "%Y%m%dT%H%M%SZ")
    with unittest.mock.patch("volcenginesdkcore.signv4.datetime.datetime") as clock:
        clock.utcnow.return_value = dated
        SignerV4.sign(
            url.path, request.command, again, body.decode(), {}, query,
            key_id, GATEWAY_SECRET, region, service, token,
        )
    answer = {
        "ResponseMetadata": {"RequestId": "1", "Action": query["Action"]},
        "Result": {"Total": 0, "Backups": []},
    }
    return query["Action"], token is not None, sent == again["Authorization"], answer


def main():
    sim, exporter = sys.argv[1:]
    with simulator(sim, "volcengine-healthy", "volcengine") as url:
        the_client_lists_everything(url)
        the_client_is_refused_with_wrong_keys(url)
    operations = ("DescribeCrossRegionBackups", "DescribeBackups")
    instance = "{id: 'redis-conformance+/~*', region: cn-beijing}"
    the_exporter_signs_as_the_client_does(
        exporter, "volcengine", judge, GATEWAY_SECRET, instance, operations
    )
    conclude("volcenginesdk-redis", operations)


if __name__ == "__main__":
    main()
