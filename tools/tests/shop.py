"""A database of twenty tables with whatever a rewind has to bring back, and statements that change it."""

import psycopg
from pgdst.server.address import Server

SCHEMA = b"""
CREATE SCHEMA accounts;
CREATE TABLE countries (
    id int PRIMARY KEY, name text NOT NULL UNIQUE, half numeric GENERATED ALWAYS AS (id / 2.0) STORED);
INSERT INTO countries SELECT n, 'country ' || n FROM generate_series(1, 5) n;
CREATE TABLE roles (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, parent int REFERENCES roles);
INSERT INTO roles (name, parent) VALUES ('owner', NULL), (E'a\\ttab, \\\\ and a\\nline', 1), (NULL, 2);
CREATE TABLE accounts."Users" (id bigserial PRIMARY KEY, name text UNIQUE, country int REFERENCES countries);
CREATE TABLE orders (id bigserial, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO orders (at) VALUES ('2025-02-01');
CREATE TABLE parents (id int PRIMARY KEY, name text);
CREATE TABLE children (toy text) INHERITS (parents);
CREATE UNLOGGED TABLE sessions (id int PRIMARY KEY, data jsonb);
CREATE MATERIALIZED VIEW names AS SELECT name FROM countries;
CREATE VIEW everybody AS SELECT name FROM accounts."Users";
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE lonely START 7 INCREMENT 3;
SELECT nextval('lonely');
CREATE TABLE log (id bigserial PRIMARY KEY, what text);
CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO log (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER logged AFTER INSERT OR DELETE ON accounts."Users" FOR EACH ROW EXECUTE FUNCTION logged();
CREATE TABLE audited (id int PRIMARY KEY, name text);
INSERT INTO audited VALUES (1, 'seeded');
CREATE TRIGGER audit AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION logged();
ALTER TABLE audited ENABLE ALWAYS TRIGGER audit;
CREATE TABLE entries (id int PRIMARY KEY);
CREATE FUNCTION forbidden() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never deleted'; END $$;
CREATE TRIGGER forbidden BEFORE DELETE ON entries FOR EACH ROW EXECUTE FUNCTION forbidden();
ALTER TABLE entries ENABLE ALWAYS TRIGGER forbidden;
CREATE RULE kept AS ON DELETE TO sessions DO INSTEAD NOTHING;
SELECT lo_from_bytea(0, 'in the template');
DO $$ BEGIN
    FOR n IN 1..9 LOOP
        EXECUTE format('CREATE TABLE plain_%s (id bigserial PRIMARY KEY, text text, number int)', n);
    END LOOP;
END $$;
"""

# After these a clone must come back by a rewind.
WRITES = {
    "insert": "INSERT INTO plain_1 (text) SELECT repeat('x', 3000) || n FROM generate_series(1, 30) n",
    "insert by a trigger": "INSERT INTO accounts.\"Users\" (name) VALUES ('a'), ('b')",
    "update": "INSERT INTO plain_2 (text) VALUES ('a'); UPDATE plain_2 SET text = 'b'",
    "delete": "INSERT INTO plain_3 (text) VALUES ('a'); DELETE FROM plain_3",
    "insert under a rule": "INSERT INTO sessions VALUES (1, '{}')",
    "insert into a partition": "INSERT INTO orders (at) VALUES ('2025-03-01'), ('2026-03-01')",
    "insert into a child": "INSERT INTO parents VALUES (1, 'p'); INSERT INTO children VALUES (2, 'c', 't')",
    "insert a seeded row": "INSERT INTO countries VALUES (77, 'new')",
    "change a seeded row": "UPDATE countries SET name = 'changed' WHERE id = 2",
    "change a seeded row and back": "UPDATE countries SET name = 'x' WHERE id = 2; "
    "UPDATE countries SET name = 'country 2' WHERE id = 2",
    "delete a seeded row": "DELETE FROM countries WHERE id = 3",
    "delete all seeded rows": "DELETE FROM orders; UPDATE roles SET parent = NULL; DELETE FROM roles",
    "update to the same value": "UPDATE countries SET name = name; UPDATE roles SET parent = parent WHERE id > 1",
    "subtransactions": "BEGIN; INSERT INTO plain_7 (text) VALUES ('a'); SAVEPOINT s; DELETE FROM countries; "
    "ROLLBACK TO s; SAVEPOINT t; UPDATE plain_7 SET text = 'b'; COMMIT",
    "nextval": "SELECT nextval('lonely'), nextval('plain_9_id_seq')",
    "setval": "SELECT setval('lonely', 1000, false)",
    "setval of a sequence that was not used": "SELECT setval('plain_8_id_seq', 5, false)",
    "large object": "SELECT lo_from_bytea(0, 'mine'), lo_create(0)",
    "lock": "SELECT * FROM countries FOR UPDATE",
    "rollback": "BEGIN; INSERT INTO plain_4 (text) VALUES ('a'); ROLLBACK",
    "notify": "LISTEN channel; NOTIFY channel",
}


def on_this_database(statement: str) -> str:
    """Return a statement with the name of the database that it is run in for %1$I, and of the user for %2$I."""
    quoted = statement.replace("'", "''")
    return f"DO $$ BEGIN EXECUTE format('{quoted}', current_database(), current_user); END $$"


# After these it must not.
CHANGES = {
    "change a seeded row under a trigger that always fires": "UPDATE audited SET name = 'changed'",
    "insert what a trigger forbids to delete": "INSERT INTO entries VALUES (1)",
    "create a table": "CREATE TABLE another (id int)",
    "drop a table": "DROP TABLE plain_5",
    "truncate": "INSERT INTO plain_6 (text) VALUES ('a'); TRUNCATE plain_6",
    "rename a table": "ALTER TABLE plain_5 RENAME TO renamed",
    "add a column": "ALTER TABLE plain_5 ADD COLUMN more int DEFAULT 3",
    "drop a column": "ALTER TABLE plain_5 DROP COLUMN number",
    "alter a column's type": "ALTER TABLE plain_5 ALTER COLUMN number TYPE bigint",
    "set a default": "ALTER TABLE plain_5 ALTER COLUMN number SET DEFAULT 5",
    "drop a default": "ALTER TABLE plain_5 ALTER COLUMN id DROP DEFAULT",
    "set not null": "ALTER TABLE plain_5 ALTER COLUMN number SET NOT NULL",
    "set a storage parameter": "ALTER TABLE plain_5 SET (fillfactor = 70)",
    "set statistics": "ALTER TABLE plain_5 ALTER COLUMN number SET STATISTICS 7",
    "set unlogged": "ALTER TABLE plain_5 SET UNLOGGED",
    "create an index": "CREATE INDEX another ON plain_5 (number)",
    "drop an index": 'ALTER TABLE accounts."Users" DROP CONSTRAINT "Users_name_key"',
    "reindex": "REINDEX TABLE plain_5",
    "cluster": "CLUSTER plain_5 USING plain_5_pkey",
    "add a constraint": "ALTER TABLE plain_5 ADD CONSTRAINT positive CHECK (number > 0)",
    "add a constraint that is not validated": "ALTER TABLE plain_5 "
    "ADD CONSTRAINT positive CHECK (number > 0) NOT VALID",
    "drop a constraint": 'ALTER TABLE accounts."Users" DROP CONSTRAINT "Users_country_fkey"',
    "create a function": "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "replace a function": "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 3'",
    "alter a function": "ALTER FUNCTION one() STABLE",
    "alter a function of Postgres": "ALTER FUNCTION pg_catalog.random() COST 7",
    "comment on a function of Postgres": "COMMENT ON FUNCTION pg_catalog.random() IS 'mine'",
    "drop a function": "DROP FUNCTION one()",
    "create a view": "CREATE VIEW another AS SELECT 1 AS one",
    "replace a view": "CREATE OR REPLACE VIEW everybody AS SELECT name || '!' AS name FROM accounts.\"Users\"",
    "drop a view": "DROP VIEW everybody",
    "refresh a materialized view": "REFRESH MATERIALIZED VIEW names",
    "create a type": "CREATE TYPE another AS (a int, b text)",
    "add an enum's value": "ALTER TYPE mood ADD VALUE 'so so'",
    "rename an enum's value": "ALTER TYPE mood RENAME VALUE 'bad' TO 'worse'",
    "create a domain": "CREATE DOMAIN another AS int CHECK (VALUE > 0)",
    "create a sequence": "CREATE SEQUENCE another",
    "alter a sequence": "ALTER SEQUENCE lonely INCREMENT 5",
    "restart a sequence": "ALTER SEQUENCE lonely RESTART WITH 50",
    "own a sequence": "ALTER SEQUENCE lonely OWNED BY plain_5.number",
    "drop a sequence": "DROP SEQUENCE lonely",
    "create a trigger": "CREATE TRIGGER more AFTER INSERT ON plain_5 FOR EACH ROW EXECUTE FUNCTION logged()",
    "create a trigger that always fires": "CREATE TRIGGER more AFTER DELETE ON plain_5 FOR EACH ROW "
    "EXECUTE FUNCTION logged(); ALTER TABLE plain_5 ENABLE ALWAYS TRIGGER more; INSERT INTO plain_5 DEFAULT VALUES",
    "disable a trigger": 'ALTER TABLE accounts."Users" DISABLE TRIGGER logged',
    "create a rule": "CREATE RULE more AS ON INSERT TO plain_5 DO INSTEAD NOTHING",
    "drop a rule": "DROP RULE kept ON sessions",
    "create a rule that always applies": "CREATE RULE more AS ON DELETE TO plain_5 DO INSTEAD NOTHING; "
    "ALTER TABLE plain_5 ENABLE ALWAYS RULE more; INSERT INTO plain_5 DEFAULT VALUES",
    "create a schema": "CREATE SCHEMA another",
    "create a policy": "CREATE POLICY another ON plain_5 USING (false)",
    "create statistics": "CREATE STATISTICS another ON text, number FROM plain_5",
    "analyze": "INSERT INTO plain_5 (text) VALUES ('a'); ANALYZE plain_5",
    "analyze a table without rows": "ANALYZE plain_5",
    "vacuum": "VACUUM countries",
    "freeze a table": "VACUUM (FREEZE) countries",
    "freeze a table without rows": "VACUUM (FREEZE) plain_5",
    "freeze a catalogue": "VACUUM (FREEZE) pg_catalog.pg_proc",
    "freeze a catalogue's long values": "VACUUM (FREEZE) pg_toast.pg_toast_1255",
    "freeze a catalogue of the server": "VACUUM (FREEZE) pg_authid",
    "attach a partition": "CREATE TABLE orders_2027 PARTITION OF orders "
    "FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    "detach a partition": "ALTER TABLE orders DETACH PARTITION orders_2026",
    "create an event trigger": "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
    "CREATE EVENT TRIGGER another ON ddl_command_start EXECUTE FUNCTION e()",
    "create an operator": "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "create a cast": "CREATE FUNCTION c(int) RETURNS mood LANGUAGE sql AS $$SELECT 'good'::mood$$; "
    "CREATE CAST (int AS mood) WITH FUNCTION c(int)",
    "create a publication": "CREATE PUBLICATION another FOR ALL TABLES",
    "create a foreign server": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER another FOREIGN DATA WRAPPER w",
    "create a text search configuration": "CREATE TEXT SEARCH CONFIGURATION another (COPY = simple)",
    "comment on a table": "COMMENT ON TABLE plain_5 IS 'mine'",
    "comment on a column": "COMMENT ON COLUMN plain_5.number IS 'mine'",
    "comment on the database": on_this_database("COMMENT ON DATABASE %1$I IS 'mine'"),
    "grant on a table": "GRANT SELECT ON plain_5 TO PUBLIC",
    "grant on a column": "GRANT SELECT (number) ON plain_5 TO PUBLIC",
    "revoke on a schema": "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "grant on the database": on_this_database("REVOKE ALL ON DATABASE %1$I FROM PUBLIC"),
    "alter default privileges": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "change an owner": "ALTER TABLE plain_5 OWNER TO pg_monitor",
    "set a setting of the database": on_this_database("ALTER DATABASE %1$I SET work_mem = '7MB'"),
    "set a setting of a role in the database": on_this_database(
        "ALTER ROLE %2$I IN DATABASE %1$I SET work_mem = '7MB'"
    ),
    "limit the database's connections": on_this_database("ALTER DATABASE %1$I CONNECTION LIMIT 50"),
    "write a catalogue": "UPDATE pg_class SET relhasrules = true WHERE relname = 'plain_5'",
    "write a catalogue of Postgres": "UPDATE pg_proc SET procost = 9 WHERE proname = 'pi'",
    "write the information schema": "DELETE FROM information_schema.sql_features",
    "change a large object of the template": "SELECT lo_put(oid, 0, 'IN') FROM pg_largeobject_metadata",
    "drop a large object of the template": "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
    "grant on a large object": "DO $$ DECLARE o oid; BEGIN SELECT oid INTO o FROM pg_largeobject_metadata; "
    "EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO PUBLIC', o); END $$",
}


def connect(url: str) -> psycopg.Connection:
    """Open an autocommit session, as the test of an application does."""
    return psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True)


def clones(server: Server) -> list[str]:
    """Return the databases that are neither Postgres's own, nor the template, nor what it was made from."""
    with server.connect() as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', %s)",
            (server.database,),
        )
        return [name for (name,) in rows]
