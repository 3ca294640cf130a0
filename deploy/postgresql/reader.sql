-- The user "gridclock_reader", who reads the tables and views of gridclock sink and writes nothing: for Grafana, BI tools.
--
--     RESULTS_PASSWORD=... psql --dbname gridclock --file deploy/postgresql/reader.sql
--
-- As somebody who may make roles, before the sink has made its tables or after. Run it again to change the password.
\set ON_ERROR_STOP on
\set password `printf %s "$RESULTS_PASSWORD"`
SELECT 'CREATE ROLE gridclock_reader' WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'gridclock_reader') \gexec
ALTER ROLE gridclock_reader LOGIN PASSWORD :'password';
ALTER ROLE gridclock_reader SET default_transaction_read_only = on;
ALTER ROLE gridclock_reader SET statement_timeout = '60s';
-- The sink's user owns the database (createdb --owner), and so the tables that it will make.
SELECT rolname AS owner FROM pg_roles JOIN pg_database ON pg_roles.oid = datdba WHERE datname = current_database() \gset
CREATE SCHEMA IF NOT EXISTS gridclock AUTHORIZATION :"owner";
GRANT USAGE ON SCHEMA gridclock TO gridclock_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA gridclock TO gridclock_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA gridclock GRANT SELECT ON TABLES TO gridclock_reader;
