"""Concurrency bugs that people ship, each with a twin that does it right: what `explore` is measured by.

Source: public bug reports, PostgreSQL's isolation tests, and Warszawski and Bailis, ACIDRain, SIGMOD 2017.
"""

from bug_patterns.check_then_act import CHECK_THEN_ACT
from bug_patterns.deadlocks import DEADLOCKS
from bug_patterns.lost_updates import LOST_UPDATES
from bug_patterns.pattern import Pattern
from bug_patterns.queues import QUEUES
from bug_patterns.schema_changes import SCHEMA_CHANGES
from bug_patterns.skew import SKEW

PATTERNS: dict[str, Pattern] = {**LOST_UPDATES, **CHECK_THEN_ACT, **SKEW, **DEADLOCKS, **QUEUES, **SCHEMA_CHANGES}

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, version int NOT NULL DEFAULT 1);
CREATE TABLE jobs (id int PRIMARY KEY, owner text, done bool NOT NULL DEFAULT false);
CREATE TABLE tags (name text);
CREATE TABLE unique_tags (name text PRIMARY KEY, uses int NOT NULL DEFAULT 1);
CREATE TABLE numbers (n int);
CREATE TABLE doctors (name text PRIMARY KEY, on_call bool NOT NULL);
CREATE TABLE bookings (during int4range);
CREATE TABLE exclusive_bookings (during int4range, EXCLUDE USING gist (during WITH &&));
CREATE TABLE rooms (id int PRIMARY KEY, guests int NOT NULL DEFAULT 0);
CREATE TABLE guests (room int NOT NULL, name text);
CREATE TABLE bound_guests (room int NOT NULL REFERENCES rooms, name text);
CREATE TABLE charges (key text);
CREATE TABLE keys (key text PRIMARY KEY);
CREATE TABLE log (line text);
CREATE TABLE outbox (id int PRIMARY KEY, sent bool NOT NULL DEFAULT false);
CREATE SEQUENCE outbox_ids;
CREATE TABLE cursors (last int NOT NULL);
CREATE TABLE documents (id int PRIMARY KEY, body jsonb NOT NULL, status text NOT NULL DEFAULT 'new');
INSERT INTO accounts VALUES (1, 50), (2, 50), (3, 50);
INSERT INTO jobs VALUES (1), (2);
INSERT INTO doctors VALUES ('ada', true), ('bob', true);
INSERT INTO rooms VALUES (1);
INSERT INTO cursors VALUES (0);
INSERT INTO documents VALUES (1, '{}');
INSERT INTO unique_tags VALUES ('a', 0), ('b', 0);
"""
