-- What the operator touches of Marie's tables, and what reacts when it does: columns, states and triggers as a real
-- database of Marie 4.0.0 has them. Partitions, indexes and columns that nothing here reads are left out.
CREATE SCHEMA marie_scheduler;
SET search_path TO marie_scheduler;

CREATE TYPE job_state AS ENUM ('created', 'retry', 'active', 'completed', 'expired', 'cancelled', 'failed');

CREATE TABLE dag (
    id uuid PRIMARY KEY,
    name varchar(250) NOT NULL,
    state varchar(50),
    started_on timestamptz,
    completed_on timestamptz,
    created_on timestamptz NOT NULL DEFAULT now(),
    planner varchar(250)
);

CREATE TABLE job (
    id uuid NOT NULL,
    name text NOT NULL,
    data jsonb,
    state job_state NOT NULL DEFAULT 'created',
    retry_count integer NOT NULL DEFAULT 0,
    started_on timestamptz,
    expire_in interval NOT NULL DEFAULT '00:15:00',
    created_on timestamptz NOT NULL DEFAULT now(),
    completed_on timestamptz,
    output jsonb,
    dependencies jsonb DEFAULT '[]',
    dag_id uuid NOT NULL REFERENCES dag (id) ON DELETE CASCADE,
    job_level integer NOT NULL DEFAULT 0,
    PRIMARY KEY (name, id)
) PARTITION BY LIST (name);
CREATE TABLE job_extract PARTITION OF job FOR VALUES IN ('extract');
CREATE INDEX ON job (dag_id);

CREATE TABLE kv_store_worker (
    namespace varchar NOT NULL,
    key varchar NOT NULL,
    value jsonb,
    PRIMARY KEY (namespace, key)
);

CREATE TABLE dag_history (id uuid, state varchar(50), at timestamptz NOT NULL DEFAULT now());
CREATE TABLE job_history (id uuid, state job_state, at timestamptz NOT NULL DEFAULT now());

CREATE FUNCTION note_dag() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marie_scheduler.dag_history (id, state) VALUES (NEW.id, NEW.state);
    IF NEW.state IS DISTINCT FROM OLD.state THEN
        PERFORM pg_notify('dag_state_changed', json_build_object('dag_id', NEW.id, 'state', NEW.state)::text);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_dag AFTER UPDATE ON dag FOR EACH ROW EXECUTE FUNCTION note_dag();

CREATE FUNCTION note_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marie_scheduler.job_history (id, state) VALUES (NEW.id, NEW.state);
    RETURN NULL;
END $$;
CREATE TRIGGER note_job AFTER INSERT OR UPDATE ON job FOR EACH ROW EXECUTE FUNCTION note_job();

-- What the scheduler does once a task has ended: cancelled tasks count as still to be done.
CREATE FUNCTION resolve_dag_state(which uuid) RETURNS void LANGUAGE sql AS $$
    UPDATE marie_scheduler.dag SET state = CASE
        WHEN EXISTS (SELECT FROM marie_scheduler.job WHERE dag_id = which AND state = 'failed') THEN 'failed'
        WHEN EXISTS (SELECT FROM marie_scheduler.job WHERE dag_id = which AND state <> 'completed') THEN 'active'
        ELSE 'completed' END
    WHERE id = which
$$;
