-- now(), clock_timestamp(), gen_random_uuid(), random() and their like, driven by a simulation's clock and seed; real
-- where none has set them. Installed in a database by sql_determinism.py; running it again changes nothing.
--
-- pgdst.now() and so on do the work, and Postgres's own functions of the same names and oids are made to call them. So
-- it does not matter by which search_path a statement, a default or a function's body finds now(), whether it says
-- pg_catalog.now(), nor when it was created; and every default is still called what it was.
--
-- Postgres calls its own functions without asking pg_proc what they are (fmgr_isbuiltin), so a replacement is reached by
-- one way alone: the planner, through which every expression goes, puts the body of an SQL function in place of the
-- call. It does so for one RETURN without subqueries that is not STRICT, has no SET, and is no more volatile than it
-- says. Each function that replaces one of Postgres's own must stay so, and so must what it calls, to be cheap.
-- Source: inline_function in optimizer/util/clauses.c, fmgr_info_cxt_security in utils/fmgr/fmgr.c.

CREATE SCHEMA IF NOT EXISTS pgdst;
GRANT USAGE ON SCHEMA pgdst TO PUBLIC;

-- The state. Sequences, as no transaction hides or undoes what happens to them: a REPEATABLE READ transaction sees the
-- clock go on, a rollback takes no draw back, and a rewind sets them back like all others. One that was never set reads
-- NULL. Instants are in Postgres's own form, microseconds since 2000, and -infinity is the least of all numbers.
CREATE SEQUENCE IF NOT EXISTS pgdst.clock MINVALUE -9223372036854775808 START 0; -- what the simulation's clock says
CREATE SEQUENCE IF NOT EXISTS pgdst.since MINVALUE -9223372036854775808 START 0; -- from which real instant on
CREATE SEQUENCE IF NOT EXISTS pgdst.changes MINVALUE 0; -- how often it was set, from 0
CREATE SEQUENCE IF NOT EXISTS pgdst.seed MINVALUE 0;
DO $$
BEGIN
    -- The last changes of the clock, for transactions that are older than the last one; by their number modulo 16.
    FOR slot IN 0..15 LOOP
        EXECUTE format('CREATE SEQUENCE IF NOT EXISTS pgdst.clock_%s MINVALUE -9223372036854775808 START 0', slot);
        EXECUTE format('CREATE SEQUENCE IF NOT EXISTS pgdst.since_%s MINVALUE -9223372036854775808 START 0', slot);
    END LOOP;
    -- How many values each client has drawn, by its number modulo 8.
    FOR slot IN 0..7 LOOP
        EXECUTE format('CREATE SEQUENCE IF NOT EXISTS pgdst.draws_%s', slot);
    END LOOP;
END
$$;
GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA pgdst TO PUBLIC;

-- Postgres's own functions under other names, which are not replaced.
CREATE OR REPLACE FUNCTION pgdst.real_now() RETURNS timestamptz LANGUAGE internal STABLE PARALLEL SAFE AS 'now';
CREATE OR REPLACE FUNCTION pgdst.real_statement_timestamp() RETURNS timestamptz
    LANGUAGE internal STABLE PARALLEL SAFE AS 'statement_timestamp';
CREATE OR REPLACE FUNCTION pgdst.real_clock_timestamp() RETURNS timestamptz
    LANGUAGE internal VOLATILE PARALLEL SAFE AS 'clock_timestamp';
CREATE OR REPLACE FUNCTION pgdst.real_gen_random_uuid() RETURNS uuid
    LANGUAGE internal VOLATILE PARALLEL SAFE AS 'gen_random_uuid';
CREATE OR REPLACE FUNCTION pgdst.real_random() RETURNS double precision
    LANGUAGE internal VOLATILE PARALLEL RESTRICTED AS 'drandom';

-- A sequence's value, or NULL where it was never set. An instant is stored as the number that it is for Postgres, so
-- that one call of a C function reads or writes it. `instant` says that it is stable, as is what now() makes of it.
CREATE OR REPLACE FUNCTION pgdst.number(regclass) RETURNS bigint
    LANGUAGE internal STABLE STRICT PARALLEL RESTRICTED AS 'pg_sequence_last_value';
CREATE OR REPLACE FUNCTION pgdst.instant(regclass) RETURNS timestamptz
    LANGUAGE internal STABLE STRICT PARALLEL RESTRICTED AS 'pg_sequence_last_value';
CREATE OR REPLACE FUNCTION pgdst.latest_instant(regclass) RETURNS timestamptz
    LANGUAGE internal VOLATILE STRICT PARALLEL RESTRICTED AS 'pg_sequence_last_value';
CREATE OR REPLACE FUNCTION pgdst.store(regclass, timestamptz) RETURNS timestamptz
    LANGUAGE internal VOLATILE STRICT PARALLEL UNSAFE AS 'setval_oid';

-- Time. What the clock said at a real instant, of those that Postgres keeps: when a transaction has begun, when a
-- statement has come. So now() is that of the transaction's beginning, to the last savepoint, and no session has to
-- remember anything.
CREATE OR REPLACE FUNCTION pgdst.clock_before_last_change(happened timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog AS $$
DECLARE
    latest bigint := pgdst.number('pgdst.changes');
BEGIN
    FOR change IN REVERSE latest..greatest(latest - 15, 0) LOOP
        IF happened >= pgdst.instant(format('pgdst.since_%s', change % 16)::regclass) THEN
            RETURN pgdst.instant(format('pgdst.clock_%s', change % 16)::regclass);
        END IF;
    END LOOP;
    RAISE 'This transaction began more than 15 changes of the simulated clock ago, and its now() is not known any more.'
        USING HINT = 'Call now() before, or let the transaction end while time passes.';
END
$$;
CREATE OR REPLACE FUNCTION pgdst.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN CASE
    WHEN pgdst.real_now() >= pgdst.instant('pgdst.since') THEN pgdst.instant('pgdst.clock')
    WHEN pgdst.instant('pgdst.since') IS NULL THEN pgdst.real_now()
    ELSE pgdst.clock_before_last_change(pgdst.real_now())
END;
CREATE OR REPLACE FUNCTION pgdst.transaction_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pgdst.now();
CREATE OR REPLACE FUNCTION pgdst.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN CASE
    WHEN pgdst.real_statement_timestamp() >= pgdst.instant('pgdst.since') THEN pgdst.instant('pgdst.clock')
    WHEN pgdst.instant('pgdst.since') IS NULL THEN pgdst.real_statement_timestamp()
    ELSE pgdst.clock_before_last_change(pgdst.real_statement_timestamp())
END;
CREATE OR REPLACE FUNCTION pgdst.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL RESTRICTED
RETURN coalesce(pgdst.latest_instant('pgdst.clock'), pgdst.real_clock_timestamp());
CREATE OR REPLACE FUNCTION pgdst.timeofday() RETURNS text LANGUAGE sql VOLATILE PARALLEL RESTRICTED
RETURN pg_catalog.to_char(pgdst.clock_timestamp(), 'Dy Mon DD HH24:MI:SS.US YYYY TZ');
CREATE OR REPLACE FUNCTION pgdst.today() RETURNS date LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pgdst.now()::date;

-- Chance. Each value is a hash of the seed, its purpose, the acting client and how many that client has drawn: what
-- another client does changes nothing. The client's number is the session's setting pgdst.client.
-- A READ ONLY transaction may not call nextval(); it counts in the session, from the client's number on.
CREATE OR REPLACE FUNCTION pgdst.draw_read_only(drawn regclass) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog AS $$
DECLARE
    before bigint := coalesce(nullif(current_setting('pgdst.read_only_draws', true), ''), '0');
BEGIN
    PERFORM set_config('pgdst.read_only_draws', (before + 1)::text, false);
    RETURN format('%s read only %s', coalesce(pgdst.number(drawn), 0), before + 1);
END
$$;
CREATE OR REPLACE FUNCTION pgdst.client() RETURNS integer LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN coalesce(nullif(pg_catalog.current_setting('pgdst.client', true), ''), '0')::integer;
CREATE OR REPLACE FUNCTION pgdst.draws_of(client integer) RETURNS regclass LANGUAGE sql IMMUTABLE
RETURN (ARRAY['pgdst.draws_0', 'pgdst.draws_1', 'pgdst.draws_2', 'pgdst.draws_3',
              'pgdst.draws_4', 'pgdst.draws_5', 'pgdst.draws_6', 'pgdst.draws_7']::regclass[])[1 + (client & 7)];
CREATE OR REPLACE FUNCTION pgdst.draw(purpose text) RETURNS text LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN pg_catalog.concat_ws(' ', purpose, pgdst.number('pgdst.seed'), pgdst.client(),
    CASE pg_catalog.current_setting('transaction_read_only')
        WHEN 'off' THEN pg_catalog.nextval(pgdst.draws_of(pgdst.client()))::text
        ELSE pgdst.draw_read_only(pgdst.draws_of(pgdst.client()))
    END);
-- A UUID of version 4 and its variant, 120 bits of it drawn.
CREATE OR REPLACE FUNCTION pgdst.gen_random_uuid() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN CASE WHEN pgdst.number('pgdst.seed') IS NULL THEN pgdst.real_gen_random_uuid()
    ELSE overlay(overlay(pg_catalog.md5(pgdst.draw('uuid')) PLACING '4' FROM 13) PLACING 'a' FROM 17)::uuid
END;
-- 53 bits: as many as a double precision number has.
CREATE OR REPLACE FUNCTION pgdst.random() RETURNS double precision LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN CASE WHEN pgdst.number('pgdst.seed') IS NULL THEN pgdst.real_random()
    ELSE (pg_catalog.hashtextextended(pgdst.draw('random'), 0) & 9007199254740991) / 9007199254740992::double precision
END;
-- By Box and Muller.
CREATE OR REPLACE FUNCTION pgdst.random_normal(
    mean double precision DEFAULT 0, stddev double precision DEFAULT 1
) RETURNS double precision LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN mean + stddev * pg_catalog.sqrt(-2 * pg_catalog.ln(1 - pgdst.random()))
    * pg_catalog.cos(2 * pg_catalog.pi() * pgdst.random());

-- What a simulation calls.
CREATE OR REPLACE FUNCTION pgdst.set_clock(at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    change bigint := coalesce(pgdst.number('pgdst.changes') + 1, 0);
    last timestamptz := pgdst.instant('pgdst.since');
    here timestamptz := CASE WHEN change = 0 THEN '-infinity' ELSE pgdst.real_clock_timestamp() END;
BEGIN
    IF here < last THEN
        RAISE 'The clock of the machine went back by %, and now() goes by it. Run it again.', last - here;
    END IF;
    PERFORM pgdst.store(format('pgdst.clock_%s', change % 16)::regclass, at);
    PERFORM pgdst.store(format('pgdst.since_%s', change % 16)::regclass, here);
    PERFORM setval('pgdst.changes', change);
    PERFORM pgdst.store('pgdst.clock', at), pgdst.store('pgdst.since', here);
END
$$;
CREATE OR REPLACE FUNCTION pgdst.set_seed(seed bigint) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM setval('pgdst.seed', seed);
END
$$;
-- As in a database that no simulation has touched: time and chance are real again.
CREATE OR REPLACE FUNCTION pgdst.let_go() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence
    WHERE seqrelid::regclass::text ~ '^pgdst\.(clock|since|changes|seed|draws)';
END
$$;

-- Postgres's own functions.
CREATE OR REPLACE FUNCTION pg_catalog.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pgdst.now();
CREATE OR REPLACE FUNCTION pg_catalog.transaction_timestamp() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pgdst.transaction_timestamp();
CREATE OR REPLACE FUNCTION pg_catalog.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pgdst.statement_timestamp();
CREATE OR REPLACE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL RESTRICTED
RETURN pgdst.clock_timestamp();
CREATE OR REPLACE FUNCTION pg_catalog.timeofday() RETURNS text LANGUAGE sql VOLATILE PARALLEL RESTRICTED
RETURN pgdst.timeofday();
CREATE OR REPLACE FUNCTION pg_catalog.age(timestamptz) RETURNS interval LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pg_catalog.age(pgdst.today()::timestamptz, $1);
CREATE OR REPLACE FUNCTION pg_catalog.age(timestamp) RETURNS interval LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pg_catalog.age(pgdst.today()::timestamp, $1);
CREATE OR REPLACE FUNCTION pg_catalog.gen_random_uuid() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN pgdst.gen_random_uuid();
CREATE OR REPLACE FUNCTION pg_catalog.random() RETURNS double precision LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN pgdst.random();
CREATE OR REPLACE FUNCTION pg_catalog.random_normal(
    mean double precision DEFAULT 0, stddev double precision DEFAULT 1
) RETURNS double precision LANGUAGE sql VOLATILE PARALLEL UNSAFE
RETURN pgdst.random_normal(mean, stddev);
