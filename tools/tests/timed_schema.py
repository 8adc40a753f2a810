"""A database that uses the time and chance of SQL wherever that can be done."""

SCHEMA = b"""
CREATE TABLE notes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz NOT NULL DEFAULT now(), text text,
    day date DEFAULT pg_catalog.now()::date, share double precision DEFAULT random(),
    CONSTRAINT not_of_tomorrow CHECK (at <= clock_timestamp()));
CREATE INDEX notes_at ON notes (at);
CREATE DOMAIN past AS timestamptz DEFAULT now() CHECK (VALUE <= now());
CREATE TABLE happened (id int PRIMARY KEY, at past, touched timestamptz);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON happened FOR EACH ROW WHEN (now() IS NOT NULL) EXECUTE FUNCTION touch();
CREATE VIEW recent AS SELECT * FROM notes WHERE at > now() - interval '1 day';
CREATE FUNCTION text_body() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()';
CREATE FUNCTION parsed_body() RETURNS timestamptz LANGUAGE sql RETURN now();
CREATE FUNCTION with_path() RETURNS timestamptz LANGUAGE sql SET search_path = '' AS 'SELECT now()';
CREATE FUNCTION definer() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER AS 'SELECT now()';
CREATE FUNCTION block() RETURNS timestamptz LANGUAGE plpgsql AS
    $$ DECLARE n timestamptz := now(); BEGIN RETURN n; END $$;
CREATE FUNCTION defaulted(at timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE sql AS 'SELECT at';
CREATE PROCEDURE passed(INOUT at timestamptz) LANGUAGE plpgsql AS 'BEGIN at := at; END';
"""
