-- What change capture needs, and nothing more: a role that may read the tables and follow the log, and a
-- publication that says which tables are followed.

CREATE ROLE ${debezium_user} WITH LOGIN REPLICATION PASSWORD '${debezium_password}';

GRANT USAGE ON SCHEMA public TO ${debezium_user};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${debezium_user};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${debezium_user};

CREATE PUBLICATION ${debezium_publication} FOR ALL TABLES;
