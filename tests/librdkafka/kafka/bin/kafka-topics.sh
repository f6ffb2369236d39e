#!/usr/bin/python3
"""What the suite asks of Kafka's own kafka-topics.sh and kafka-acls.sh, over kafka-python's admin client."""
import argparse
import os
import sys

from kafka.admin import (ACL, ACLFilter, ACLOperation, ACLPermissionType, KafkaAdminClient, NewPartitions, NewTopic,
                         ResourcePattern, ResourceType)


def topics(admin, o):
    if o.create:
        settings = dict(pair.split("=", 1) for pair in o.config)
        admin.create_topics([NewTopic(o.topic, o.partitions, o.replication_factor, topic_configs=settings)])
    elif o.alter:
        admin.create_partitions({o.topic: NewPartitions(o.partitions)})
    elif o.delete:
        admin.delete_topics([o.topic])


def acls(admin, o):
    allowed = o.allow_principal is not None
    rule = dict(principal=o.allow_principal if allowed else o.deny_principal, host=(o.allow_host if allowed else o.deny_host) or "*",
                operation=ACLOperation[o.operation.upper()], resource_pattern=ResourcePattern(ResourceType.TOPIC, o.topic),
                permission_type=ACLPermissionType.ALLOW if allowed else ACLPermissionType.DENY)
    if o.add:
        failed = admin.create_acls([ACL(**rule)])["failed"]
        assert not failed, failed
    else:
        admin.delete_acls([ACLFilter(**rule)])


def main():
    p = argparse.ArgumentParser(allow_abbrev=False)
    for verb in ("create", "alter", "delete", "add", "remove", "force"):
        p.add_argument(f"--{verb}", action="store_true")
    for name in ("bootstrap-server", "topic", "operation", "allow-principal", "deny-principal", "allow-host", "deny-host"):
        p.add_argument(f"--{name}")
    p.add_argument("--partitions", type=int, default=1)
    p.add_argument("--replication-factor", type=int, default=1)
    p.add_argument("--config", action="append", default=[])
    o = p.parse_args()
    admin = KafkaAdminClient(bootstrap_servers=o.bootstrap_server)
    (acls if os.path.basename(sys.argv[0]) == "kafka-acls.sh" else topics)(admin, o)
    admin.close()


if __name__ == "__main__":
    main()
