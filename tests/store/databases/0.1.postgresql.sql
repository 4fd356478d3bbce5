SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE TYPE public.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE public.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE public.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE public.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.coref_attempt (
    namespace character varying(63) NOT NULL,
    job_name character varying(63) NOT NULL,
    study character varying(63) NOT NULL,
    kind character varying(16) NOT NULL,
    seq_len integer,
    trial integer,
    attempt integer NOT NULL,
    tier integer NOT NULL,
    outcome character varying(16) NOT NULL,
    reason character varying(32) NOT NULL,
    message text NOT NULL,
    exit_code integer,
    retries integer NOT NULL,
    disruptions integer NOT NULL,
    gpus integer NOT NULL,
    gpu_seconds double precision NOT NULL,
    started_at timestamp without time zone,
    finished_at timestamp without time zone,
    node character varying(253) NOT NULL,
    log_tail text NOT NULL
);
CREATE TABLE public.coref_study (
    namespace character varying(63) NOT NULL,
    name character varying(63) NOT NULL,
    spec_json text NOT NULL,
    phase character varying(16) NOT NULL,
    message text NOT NULL,
    cancel_requested boolean NOT NULL,
    prepared text,
    statistics_json text,
    created_at timestamp without time zone NOT NULL,
    started_at timestamp without time zone,
    resumed_at timestamp without time zone,
    finished_at timestamp without time zone
);
CREATE TABLE public.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE SEQUENCE public.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.studies_study_id_seq OWNED BY public.studies.study_id;
CREATE TABLE public.study_directions (
    study_direction_id integer NOT NULL,
    direction public.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE public.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_directions_study_direction_id_seq OWNED BY public.study_directions.study_direction_id;
CREATE TABLE public.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_system_attributes_study_system_attribute_id_seq OWNED BY public.study_system_attributes.study_system_attribute_id;
CREATE TABLE public.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_user_attributes_study_user_attribute_id_seq OWNED BY public.study_user_attributes.study_user_attribute_id;
CREATE TABLE public.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq OWNED BY public.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE public.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type public.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY public.trial_intermediate_values.trial_intermediate_value_id;
CREATE TABLE public.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE SEQUENCE public.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_params_param_id_seq OWNED BY public.trial_params.param_id;
CREATE TABLE public.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq OWNED BY public.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE public.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq OWNED BY public.trial_user_attributes.trial_user_attribute_id;
CREATE TABLE public.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type public.trialvaluetype NOT NULL
);
CREATE SEQUENCE public.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_values_trial_value_id_seq OWNED BY public.trial_values.trial_value_id;
CREATE TABLE public.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state public.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE SEQUENCE public.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trials_trial_id_seq OWNED BY public.trials.trial_id;
CREATE TABLE public.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
ALTER TABLE ONLY public.studies ALTER COLUMN study_id SET DEFAULT nextval('public.studies_study_id_seq'::regclass);
ALTER TABLE ONLY public.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('public.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY public.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('public.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('public.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('public.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY public.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('public.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY public.trial_params ALTER COLUMN param_id SET DEFAULT nextval('public.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY public.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('public.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('public.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('public.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY public.trials ALTER COLUMN trial_id SET DEFAULT nextval('public.trials_trial_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('v3.2.0.a');
INSERT INTO public.coref_attempt VALUES ('lab', 'a-prepare-1', 'a', 'prepare', NULL, NULL, 1, 0, 'succeeded', '', '', NULL, 0, 0, 0, 0, '2026-01-02 04:00:00', '2026-01-02 04:01:00', '', '');
INSERT INTO public.coref_attempt VALUES ('lab', 'a-512-0-1', 'a', 'trial', 512, 0, 1, 0, 'succeeded', '', '', NULL, 0, 0, 1, 60, '2026-01-02 04:00:00', '2026-01-02 04:01:00', '', '');
INSERT INTO public.coref_attempt VALUES ('lab', 'a-512-1-1', 'a', 'trial', 512, 1, 1, 0, 'failed', 'Crashed', 'Crashed (exit code 1)', 1, 0, 0, 1, 60, '2026-01-02 04:00:00', '2026-01-02 04:01:00', '', '끝');
INSERT INTO public.coref_attempt VALUES ('lab', 'a-finalist-512-0-1', 'a', 'finalist', 512, 0, 1, 0, 'succeeded', '', '', NULL, 0, 0, 1, 60, '2026-01-02 04:00:00', '2026-01-02 04:01:00', '', '');
INSERT INTO public.coref_attempt VALUES ('lab', 'a-verdict-512-1', 'a', 'verdict', 512, NULL, 1, 0, 'succeeded', '', '', NULL, 0, 0, 0, 0, '2026-01-02 04:00:00', '2026-01-02 04:01:00', '', '');
INSERT INTO public.coref_study VALUES ('lab', 'a', '{"seqLengths":[512],"anyLength":false,"model":"kakaobank/kf-deberta-base","modelRevision":null,"trials":2,"parallelism":4,"seed":0,"purpose":{"kind":"search","study":null,"trials":[]},"gpuMemoryGb":40.0,"data":{"sources":[{"source":"wikimedia/wikipedia","subset":"20231101.ko","split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"mrc","split":"train","domain":"news","qualityWeight":1.2,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"ynat","split":"train","domain":"headline","qualityWeight":0.3,"minLength":20,"maxLength":null,"extractor":null,"revision":null},{"source":"squad_kor_v1","subset":null,"split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"dev7halo/naver-news-summarization-ko-with-gen","subset":null,"split":"train","domain":"news","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null}],"choices":[],"trainLimit":50000,"domains":[],"minCorefDensity":0.0,"deduplicate":true,"packing":true,"devShare":0.1,"testShare":0.1,"evalItems":200},"training":{"epochChoices":[1.0,2.0,3.0],"maxSteps":null,"batchSize":null,"evaluations":4,"precision":"auto","attention":"auto","checkpointing":"auto","checkpointSeconds":300.0,"keepModels":5,"maxGradNorm":null,"compile":false},"search":{"sampler":"random","pruner":"median","startupTrials":5,"defaultsFirst":true,"patience":null,"minGain":null,"warmStart":true,"warmStartFrom":null,"space":{},"spaceByLength":{},"finalists":1,"finalistSeeds":1},"objective":{"weights":{"coref_f1":0.4,"coref_top5":0.3,"lbd_top1":0.3}},"limits":{"maxFailedTrials":5,"retries":2,"maxDisruptions":20,"memoryTiers":2,"pendingDeadline":1800.0,"maxDuration":null,"maxGpuHours":null,"onEnd":"stop"},"pod":{"image":null,"gpus":1,"gpuResource":"nvidia.com/gpu","cpu":null,"memory":null,"nodeSelector":{},"tolerations":[],"priorityClass":null,"queueName":null,"serviceAccount":null,"labels":{},"annotations":{}}}', 'Succeeded', 'stopped after 60 s, as limits.maxDuration says', false, 'prepared/abc', '{"documents": 3}', '2026-01-02 03:04:05', '2026-01-02 03:04:05', '2026-01-02 03:04:05', '2026-01-02 03:04:05');
INSERT INTO public.coref_study VALUES ('lab', 'a-finalist', '{"seqLengths":[512],"anyLength":false,"model":"kakaobank/kf-deberta-base","modelRevision":null,"trials":2,"parallelism":4,"seed":0,"purpose":{"kind":"search","study":null,"trials":[]},"gpuMemoryGb":40.0,"data":{"sources":[{"source":"wikimedia/wikipedia","subset":"20231101.ko","split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"mrc","split":"train","domain":"news","qualityWeight":1.2,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"ynat","split":"train","domain":"headline","qualityWeight":0.3,"minLength":20,"maxLength":null,"extractor":null,"revision":null},{"source":"squad_kor_v1","subset":null,"split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"dev7halo/naver-news-summarization-ko-with-gen","subset":null,"split":"train","domain":"news","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null}],"choices":[],"trainLimit":50000,"domains":[],"minCorefDensity":0.0,"deduplicate":true,"packing":true,"devShare":0.1,"testShare":0.1,"evalItems":200},"training":{"epochChoices":[1.0,2.0,3.0],"maxSteps":null,"batchSize":null,"evaluations":4,"precision":"auto","attention":"auto","checkpointing":"auto","checkpointSeconds":300.0,"keepModels":5,"maxGradNorm":null,"compile":false},"search":{"sampler":"random","pruner":"median","startupTrials":5,"defaultsFirst":true,"patience":null,"minGain":null,"warmStart":true,"warmStartFrom":null,"space":{},"spaceByLength":{},"finalists":1,"finalistSeeds":1},"objective":{"weights":{"coref_f1":0.4,"coref_top5":0.3,"lbd_top1":0.3}},"limits":{"maxFailedTrials":5,"retries":2,"maxDisruptions":20,"memoryTiers":2,"pendingDeadline":1800.0,"maxDuration":null,"maxGpuHours":null,"onEnd":"stop"},"pod":{"image":null,"gpus":1,"gpuResource":"nvidia.com/gpu","cpu":null,"memory":null,"nodeSelector":{},"tolerations":[],"priorityClass":null,"queueName":null,"serviceAccount":null,"labels":{},"annotations":{}}}', 'Pending', '', false, 'prepared/abc', '{"documents": 3}', '2026-01-02 03:04:05', NULL, '2026-01-02 03:04:05', NULL);
INSERT INTO public.studies VALUES (1, 'lab/a/512');
INSERT INTO public.study_directions VALUES (1, 'MAXIMIZE', 1, 0);
INSERT INTO public.trial_params VALUES (1, 1, 'learning_rate', 7.708241963639057e-05, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.0005, "log": true}}');
INSERT INTO public.trial_params VALUES (2, 1, 'warmup_ratio', 0.12012154445545953, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.2, "log": false}}');
INSERT INTO public.trial_params VALUES (3, 1, 'weight_decay', 0.03314266274706251, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.1, "log": false}}');
INSERT INTO public.trial_params VALUES (4, 1, 'accumulation', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO public.trial_params VALUES (5, 1, 'mask_low', 0.13567936103742365, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.08, "high": 0.15, "log": false}}');
INSERT INTO public.trial_params VALUES (6, 1, 'mask_high', 0.2706636858721103, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.15, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (7, 1, 'layer_decay', 0.8164433639331763, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.8, "high": 1.0, "log": false}}');
INSERT INTO public.trial_params VALUES (8, 1, 'mention_share', 0.520014581803518, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.2, "high": 0.8, "log": false}}');
INSERT INTO public.trial_params VALUES (9, 1, 'distance_preference', 1.2622019250057914, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.5, "log": false}}');
INSERT INTO public.trial_params VALUES (10, 1, 'epochs', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": [1.0, 2.0, 3.0]}}');
INSERT INTO public.trial_params VALUES (11, 2, 'learning_rate', 4.869185180136218e-05, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.0005, "log": true}}');
INSERT INTO public.trial_params VALUES (12, 2, 'warmup_ratio', 0.12091367495248542, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.2, "log": false}}');
INSERT INTO public.trial_params VALUES (13, 2, 'weight_decay', 0.020208382674996663, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.1, "log": false}}');
INSERT INTO public.trial_params VALUES (14, 2, 'accumulation', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO public.trial_params VALUES (15, 2, 'mask_low', 0.08086959085614759, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.08, "high": 0.15, "log": false}}');
INSERT INTO public.trial_params VALUES (16, 2, 'mask_high', 0.29437685787622336, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.15, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (17, 2, 'layer_decay', 0.9237835332405605, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.8, "high": 1.0, "log": false}}');
INSERT INTO public.trial_params VALUES (18, 2, 'mention_share', 0.6795813337175578, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.2, "high": 0.8, "log": false}}');
INSERT INTO public.trial_params VALUES (19, 2, 'distance_preference', 1.372865091350985, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.5, "log": false}}');
INSERT INTO public.trial_params VALUES (20, 2, 'epochs', 2, '{"name": "CategoricalDistribution", "attributes": {"choices": [1.0, 2.0, 3.0]}}');
INSERT INTO public.trial_user_attributes VALUES (1, 1, 'metrics', '{"score": 0.5, "coref_f1": 0.4}');
INSERT INTO public.trial_user_attributes VALUES (2, 2, 'reason', '"Crashed (exit code 1)"');
INSERT INTO public.trial_values VALUES (1, 1, 0, 0.5, 'FINITE');
INSERT INTO public.trials VALUES (1, 0, 1, 'COMPLETE', '2026-11-29 21:53:47.611314', '2026-11-29 21:53:47.902942');
INSERT INTO public.trials VALUES (2, 1, 1, 'FAIL', '2026-11-29 21:53:47.94544', '2026-11-29 21:53:48.044342');
INSERT INTO public.version_info VALUES (1, 12, '5.0.0');
SELECT pg_catalog.setval('public.studies_study_id_seq', 1, true);
SELECT pg_catalog.setval('public.study_directions_study_direction_id_seq', 1, true);
SELECT pg_catalog.setval('public.study_system_attributes_study_system_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('public.study_user_attributes_study_user_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_heartbeats_trial_heartbeat_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_intermediate_values_trial_intermediate_value_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_params_param_id_seq', 20, true);
SELECT pg_catalog.setval('public.trial_system_attributes_trial_system_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_user_attributes_trial_user_attribute_id_seq', 2, true);
SELECT pg_catalog.setval('public.trial_values_trial_value_id_seq', 1, true);
SELECT pg_catalog.setval('public.trials_trial_id_seq', 2, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.coref_attempt
    ADD CONSTRAINT coref_attempt_pkey PRIMARY KEY (namespace, job_name);
ALTER TABLE ONLY public.coref_study
    ADD CONSTRAINT coref_study_pkey PRIMARY KEY (namespace, name);
ALTER TABLE ONLY public.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
CREATE INDEX ix_coref_attempt_study ON public.coref_attempt USING btree (namespace, study);
CREATE UNIQUE INDEX ix_studies_study_name ON public.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON public.trials USING btree (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
