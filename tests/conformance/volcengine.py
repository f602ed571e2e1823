"""Volcengine's own Python client against the simulator, and its signer against the exporter's requests.

The simulator is our reading of the vendor's pages; here the vendor reads it back.
"""

import datetime
import functools
import json
import sys
import unittest.mock
import urllib.parse

import volcenginesdkcore
import volcenginesdkredis
from volcenginesdkcore.rest import ApiException
from volcenginesdkcore.signv4 import SignerV4

import checks
from checks import check, conclude, simulator, the_exporter_signs_as_the_client_does

GATEWAY_SECRET = "U0dhdGV3YXlTZWNyZXQwMDAwMDAwMDAwMDAwMDE="
KEY_ID = "AKLTSimulatedCacheCn0000001"
SECRET = "U2ltdWxhdGVkQ2FjaGVDblNlY3JldDAwMDE="
DEMO = "AKLTSimulatedProdVolc0001", "U2ltdWxhdGVkUHJvZFZvbGNTZWNyZXQwMDAwMDAwMDE="
RARE = "AKLTSimulatedRareVolc0001", "U2ltdWxhdGVkUmFyZVZvbGNTZWNyZXQwMDAwMDAwMDE="
REGION = "cn-beijing"

refused = functools.partial(
    checks.refused,
    exception=ApiException,
    code_of=lambda error: json.loads(error.body)["ResponseMetadata"]["Error"]["Code"],
)


def client(url, key_id=KEY_ID, secret=SECRET, region=REGION):
    def build(key_id, secret):
        configuration = volcenginesdkcore.Configuration()
        configuration.ak, configuration.sk, configuration.region = key_id, secret, region
        configuration.host, configuration.scheme = urllib.parse.urlsplit(url).netloc, "http"
        configuration.auto_retry = False
        return volcenginesdkredis.REDISApi(volcenginesdkcore.ApiClient(configuration))

    return checks.Watched(build, read, key_id, secret)


def read(redis, answer):
    return json.loads(redis.api_client.last_response.data)["Result"], type(answer).__name__, fields


def fields(model):
    model = getattr(volcenginesdkredis.models, model)
    return {model.attribute_map[name]: kind for name, kind in model.swagger_types.items()}


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


def instances(redis, page_size=1000, **which):
    rows, number = [], 1
    while True:
        page = redis.describe_db_instances(
            volcenginesdkredis.DescribeDBInstancesRequest(
                page_number=number, page_size=page_size, **which
            )
        )
        rows += page.instances
        if not page.instances or len(rows) >= page.total_instances_num:
            return rows
        number += 1


def the_client_lists_the_instances(url):
    beijing, guangzhou = client(url, *DEMO), client(url, *DEMO, region="cn-guangzhou")
    for redis, region, names in (
        (beijing, "cn-beijing", ["cart", "scratch", "sessions"]),
        (guangzhou, "cn-guangzhou", ["feed"]),
    ):
        for page_size in (2, 1000):
            for which in ({}, {"region_id": region}, {"service_type": "Basic"}):
                rows = instances(redis, page_size, **which)
                found = sorted(row.instance_name for row in rows)
                name = f"DescribeDBInstances of {region} by {page_size}, {which}"
                check(f"{name}: the scenario's", found == names, found)
                seen = {(row.region_id, row.service_type, row.status) for row in rows}
                check(f"{name}: what they are", seen == {(region, "Basic", "Running")}, seen)
        found = instances(redis, service_type="Enterprise")
        check(f"DescribeDBInstances of {region}: no Enterprise Edition", found == [], found)
    found = [row.instance_id for row in instances(beijing, instance_name="sess")]
    check("DescribeDBInstances by name", found == ["redis-simsessions00001"], found)
    for which in ({"page_size": 1001}, {"service_type": "Premium"}):
        request = volcenginesdkredis.DescribeDBInstancesRequest(page_number=1, **which)
        ask = beijing.describe_db_instances
        refused(f"DescribeDBInstances, {which},", "ParamError", ask, request)


def the_client_reads_protection(url):
    beijing, guangzhou = client(url, *DEMO), client(url, *DEMO, region="cn-guangzhou")

    def asked(redis, operation, instance):
        method = {
            "DescribeCrossRegionBackupPolicy": redis.describe_cross_region_backup_policy,
            "DescribeBackupPlan": redis.describe_backup_plan,
            "DescribePitrTimeWindow": redis.describe_pitr_time_window,
            "DescribeAvailableCrossRegion": redis.describe_available_cross_region,
        }
        request = getattr(volcenginesdkredis, f"{operation}Request")
        return method[operation], request(instance_id=instance)

    def answer(*which):
        ask, request = asked(*which)
        return ask(request)

    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for redis, region, instance, destination, hour in (
        (beijing, "cn-beijing", "redis-simsessions00001", "cn-shanghai", [2]),
        (beijing, "cn-beijing", "redis-simscratch000001", "", [4]),
        (guangzhou, "cn-guangzhou", "redis-simfeed000000001", "cn-beijing", [11, 23]),
    ):
        policy = answer(redis, "DescribeCrossRegionBackupPolicy", instance)
        found = policy.instance_id, policy.active, policy.cross_backup_region, policy.ttl
        expected = instance, destination != "", destination, 31
        check(f"DescribeCrossRegionBackupPolicy of {instance}", found == expected, found)

        plan = answer(redis, "DescribeBackupPlan", instance)
        found = plan.instance_id, plan.active, plan.ttl, plan.period
        expected = instance, True, 31, [1, 2, 3, 4, 5, 6, 7]
        check(f"DescribeBackupPlan of {instance}", found == expected, found)
        check(f"DescribeBackupPlan of {instance}: China's hour", plan.backup_hour in hour, plan)
        following = time(plan.expect_next_backup_time)
        ahead = datetime.timedelta() < following - now < datetime.timedelta(days=1)
        check(f"DescribeBackupPlan of {instance}: the next one", ahead, following)

        window = answer(redis, "DescribePitrTimeWindow", instance)
        length = time(window.end_time) - time(window.start_time)
        lately = abs(now - time(window.end_time)) < datetime.timedelta(minutes=10)
        week = datetime.timedelta(days=7)
        whole = lately and length == week
        check(f"DescribePitrTimeWindow of {instance}: a week until now", whole, window)

        found = set(answer(redis, "DescribeAvailableCrossRegion", instance).target_region_ids)
        expected = {"cn-beijing", "cn-shanghai", "cn-guangzhou"} - {region}
        check(f"DescribeAvailableCrossRegion of {instance}: all others", found == expected, found)
    for operation in checks.asked.keys() - {"DescribeDBInstances"}:
        for what, redis, instance in (
            ("an unknown instance", beijing, "redis-unknown"),
            ("one in another region", guangzhou, "redis-simsessions00001"),
        ):
            asks = asked(redis, operation, instance)
            refused(f"{operation} of {what}", "InstanceNotExist", *asks)


def the_client_reads_rarities(url):
    redis = client(url, *RARE)
    for which, names in (
        ({}, ["basic"]), ({"service_type": "Basic"}, ["basic"]),
        ({"service_type": "Enterprise"}, ["enterprise"]),
    ):
        rows = instances(redis, **which)
        found = [row.instance_name for row in rows]
        check(f"DescribeDBInstances, {which}: the scenario's", found == names, found)
        seen = {row.service_type for row in rows}
        check(f"DescribeDBInstances, {which}: the edition", seen == {names[0].title()}, seen)
    policy = redis.describe_cross_region_backup_policy(
        volcenginesdkredis.DescribeCrossRegionBackupPolicyRequest(
            instance_id="redis-simenterprise01"
        )
    )
    found = policy.active, policy.cross_backup_region
    check("DescribeCrossRegionBackupPolicy: switched off", found == (False, ""), found)
    ask, request = redis.describe_backup_plan, volcenginesdkredis.DescribeBackupPlanRequest
    request = request(instance_id="redis-simbasic0000001")
    refused("DescribeBackupPlan of a single node", "InstanceStatusNotMatch", ask, request)


def time(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def the_client_is_refused_with_wrong_keys():
    checks.every_operation_is_refused_with_wrong_keys(
        refused, "AKLTunknown", "SignatureDoesNotMatch", "InvalidAccessKey"
    )


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
        "Result": {
            "Total": 0, "Backups": [], "TotalInstancesNum": 0, "Instances": [],
            "Active": False, "CrossBackupRegion": "", "StartTime": "", "EndTime": "",
        },
    }
    return query["Action"], token is not None, sent == again["Authorization"], answer


def main():
    sim, exporter = sys.argv[1:]
    with simulator(sim, "volcengine-healthy", "volcengine") as url:
        the_client_lists_everything(url)
        the_client_is_refused_with_wrong_keys()
    with simulator(sim, "demo", "volcengine") as url:
        the_client_lists_the_instances(url)
        the_client_reads_protection(url)
        the_client_is_refused_with_wrong_keys()
    with simulator(sim, "rarities", "volcengine") as url:
        the_client_reads_rarities(url)
    operations = ("DescribeCrossRegionBackups", "DescribeBackups")
    instance, region = "{id: 'redis-conformance+/~*', region: cn-beijing}", "cn-beijing"
    the_exporter_signs_as_the_client_does(
        exporter, "volcengine", judge, GATEWAY_SECRET, instance, region, operations
    )
    conclude("volcenginesdk-redis")


if __name__ == "__main__":
    main()
