BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE coref_attempt (
	namespace VARCHAR(63) NOT NULL, 
	job_name VARCHAR(63) NOT NULL, 
	study VARCHAR(63) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	seq_len INTEGER, 
	trial INTEGER, 
	attempt INTEGER NOT NULL, 
	tier INTEGER NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	reason VARCHAR(32) NOT NULL, 
	message TEXT NOT NULL, 
	exit_code INTEGER, 
	retries INTEGER NOT NULL, 
	disruptions INTEGER NOT NULL, 
	gpus INTEGER NOT NULL, 
	gpu_seconds FLOAT NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	node VARCHAR(253) NOT NULL, 
	log_tail TEXT NOT NULL, 
	PRIMARY KEY (namespace, job_name)
);
INSERT INTO "coref_attempt" VALUES('lab','a-prepare-1','a','prepare',NULL,NULL,1,0,'succeeded','','',NULL,0,0,0,0.0,'2026-01-02 04:00:00.000000','2026-01-02 04:01:00.000000','','');
INSERT INTO "coref_attempt" VALUES('lab','a-512-0-1','a','trial',512,0,1,0,'succeeded','','',NULL,0,0,1,60.0,'2026-01-02 04:00:00.000000','2026-01-02 04:01:00.000000','','');
INSERT INTO "coref_attempt" VALUES('lab','a-512-1-1','a','trial',512,1,1,0,'failed','Crashed','Crashed (exit code 1)',1,0,0,1,60.0,'2026-01-02 04:00:00.000000','2026-01-02 04:01:00.000000','','끝');
INSERT INTO "coref_attempt" VALUES('lab','a-finalist-512-0-1','a','finalist',512,0,1,0,'succeeded','','',NULL,0,0,1,60.0,'2026-01-02 04:00:00.000000','2026-01-02 04:01:00.000000','','');
INSERT INTO "coref_attempt" VALUES('lab','a-verdict-512-1','a','verdict',512,NULL,1,0,'succeeded','','',NULL,0,0,0,0.0,'2026-01-02 04:00:00.000000','2026-01-02 04:01:00.000000','','');
CREATE TABLE coref_study (
	namespace VARCHAR(63) NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	spec_json TEXT NOT NULL, 
	phase VARCHAR(16) NOT NULL, 
	message TEXT NOT NULL, 
	cancel_requested BOOLEAN NOT NULL, 
	prepared TEXT, 
	statistics_json TEXT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	resumed_at DATETIME, 
	finished_at DATETIME, 
	PRIMARY KEY (namespace, name)
);
INSERT INTO "coref_study" VALUES('lab','a','{"seqLengths":[512],"anyLength":false,"model":"kakaobank/kf-deberta-base","modelRevision":null,"trials":2,"parallelism":4,"seed":0,"purpose":{"kind":"search","study":null,"trials":[]},"gpuMemoryGb":40.0,"data":{"sources":[{"source":"wikimedia/wikipedia","subset":"20231101.ko","split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"mrc","split":"train","domain":"news","qualityWeight":1.2,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"ynat","split":"train","domain":"headline","qualityWeight":0.3,"minLength":20,"maxLength":null,"extractor":null,"revision":null},{"source":"squad_kor_v1","subset":null,"split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"dev7halo/naver-news-summarization-ko-with-gen","subset":null,"split":"train","domain":"news","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null}],"choices":[],"trainLimit":50000,"domains":[],"minCorefDensity":0.0,"deduplicate":true,"packing":true,"devShare":0.1,"testShare":0.1,"evalItems":200},"training":{"epochChoices":[1.0,2.0,3.0],"maxSteps":null,"batchSize":null,"evaluations":4,"precision":"auto","attention":"auto","checkpointing":"auto","checkpointSeconds":300.0,"keepModels":5,"maxGradNorm":null,"compile":false},"search":{"sampler":"random","pruner":"median","startupTrials":5,"defaultsFirst":true,"patience":null,"minGain":null,"warmStart":true,"warmStartFrom":null,"space":{},"spaceByLength":{},"finalists":1,"finalistSeeds":1},"objective":{"weights":{"coref_f1":0.4,"coref_top5":0.3,"lbd_top1":0.3}},"limits":{"maxFailedTrials":5,"retries":2,"maxDisruptions":20,"memoryTiers":2,"pendingDeadline":1800.0,"maxDuration":null,"maxGpuHours":null,"onEnd":"stop"},"pod":{"image":null,"gpus":1,"gpuResource":"nvidia.com/gpu","cpu":null,"memory":null,"nodeSelector":{},"tolerations":[],"priorityClass":null,"queueName":null,"serviceAccount":null,"labels":{},"annotations":{}}}','Succeeded','stopped after 60 s, as limits.maxDuration says',0,'prepared/abc','{"documents": 3}','2026-01-02 03:04:05.000000','2026-01-02 03:04:05.000000','2026-01-02 03:04:05.000000','2026-01-02 03:04:05.000000');
INSERT INTO "coref_study" VALUES('lab','a-finalist','{"seqLengths":[512],"anyLength":false,"model":"kakaobank/kf-deberta-base","modelRevision":null,"trials":2,"parallelism":4,"seed":0,"purpose":{"kind":"search","study":null,"trials":[]},"gpuMemoryGb":40.0,"data":{"sources":[{"source":"wikimedia/wikipedia","subset":"20231101.ko","split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"mrc","split":"train","domain":"news","qualityWeight":1.2,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"klue/klue","subset":"ynat","split":"train","domain":"headline","qualityWeight":0.3,"minLength":20,"maxLength":null,"extractor":null,"revision":null},{"source":"squad_kor_v1","subset":null,"split":"train","domain":"encyclopedia","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null},{"source":"dev7halo/naver-news-summarization-ko-with-gen","subset":null,"split":"train","domain":"news","qualityWeight":1.0,"minLength":200,"maxLength":null,"extractor":null,"revision":null}],"choices":[],"trainLimit":50000,"domains":[],"minCorefDensity":0.0,"deduplicate":true,"packing":true,"devShare":0.1,"testShare":0.1,"evalItems":200},"training":{"epochChoices":[1.0,2.0,3.0],"maxSteps":null,"batchSize":null,"evaluations":4,"precision":"auto","attention":"auto","checkpointing":"auto","checkpointSeconds":300.0,"keepModels":5,"maxGradNorm":null,"compile":false},"search":{"sampler":"random","pruner":"median","startupTrials":5,"defaultsFirst":true,"patience":null,"minGain":null,"warmStart":true,"warmStartFrom":null,"space":{},"spaceByLength":{},"finalists":1,"finalistSeeds":1},"objective":{"weights":{"coref_f1":0.4,"coref_top5":0.3,"lbd_top1":0.3}},"limits":{"maxFailedTrials":5,"retries":2,"maxDisruptions":20,"memoryTiers":2,"pendingDeadline":1800.0,"maxDuration":null,"maxGpuHours":null,"onEnd":"stop"},"pod":{"image":null,"gpus":1,"gpuResource":"nvidia.com/gpu","cpu":null,"memory":null,"nodeSelector":{},"tolerations":[],"priorityClass":null,"queueName":null,"serviceAccount":null,"labels":{},"annotations":{}}}','Pending','',0,'prepared/abc','{"documents": 3}','2026-01-02 03:04:05.000000',NULL,'2026-01-02 03:04:05.000000',NULL);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'lab/a/512');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'learning_rate',7.70824196363905690416e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.0005, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'warmup_ratio',1.20121544455459527966e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.2, "log": false}}');
INSERT INTO "trial_params" VALUES(3,1,'weight_decay',3.31426627470625123628e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(4,1,'accumulation',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(5,1,'mask_low',1.35679361037423645841e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.08, "high": 0.15, "log": false}}');
INSERT INTO "trial_params" VALUES(6,1,'mask_high',2.706636858721103156e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.15, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(7,1,'layer_decay',8.16443363933176291524e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.8, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(8,1,'mention_share',0.520014581803518,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.2, "high": 0.8, "log": false}}');
INSERT INTO "trial_params" VALUES(9,1,'distance_preference',1.26220192500579142524e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.5, "log": false}}');
INSERT INTO "trial_params" VALUES(10,1,'epochs',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1.0, 2.0, 3.0]}}');
INSERT INTO "trial_params" VALUES(11,2,'learning_rate',4.86918518013621773234e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.0005, "log": true}}');
INSERT INTO "trial_params" VALUES(12,2,'warmup_ratio',1.20913674952485422631e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.2, "log": false}}');
INSERT INTO "trial_params" VALUES(13,2,'weight_decay',2.02083826749966631586e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(14,2,'accumulation',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(15,2,'mask_low',8.08695908561475884646e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.08, "high": 0.15, "log": false}}');
INSERT INTO "trial_params" VALUES(16,2,'mask_high',2.94376857876223363419e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.15, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(17,2,'layer_decay',9.23783533240560505994e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.8, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(18,2,'mention_share',6.79581333717557800611e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.2, "high": 0.8, "log": false}}');
INSERT INTO "trial_params" VALUES(19,2,'distance_preference',1.37286509135098500067e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.5, "log": false}}');
INSERT INTO "trial_params" VALUES(20,2,'epochs',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1.0, 2.0, 3.0]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'metrics','{"score": 0.5, "coref_f1": 0.4}');
INSERT INTO "trial_user_attributes" VALUES(2,2,'reason','"Crashed (exit code 1)"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.5,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-29 21:53:24.285099','2026-11-29 21:53:24.451419');
INSERT INTO "trials" VALUES(2,1,1,'FAIL','2026-11-29 21:53:24.473335','2026-11-29 21:53:24.516380');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE INDEX ix_coref_attempt_study ON coref_attempt (namespace, study);
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
