"""Names that the custom resource, the Jobs, the chart and the tests share."""

from __future__ import annotations

from coref_k8s.study.reading import API_VERSION as API_VERSION
from coref_k8s.study.reading import KIND as KIND

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "corefstudies"
SINGULAR = "corefstudy"
SHORT_NAME = "cstudy"
CRD_NAME = f"{PLURAL}.{GROUP}"

#: Who writes our objects, in server-side apply and in `managedFields`.
FIELD_MANAGER = "coref-k8s-controller"
#: Value of `app.kubernetes.io/name` and `managed-by`.
APP = "coref-k8s"

NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
STUDY_LABEL = f"{GROUP}/study"
KIND_LABEL = f"{GROUP}/kind"
SEQ_LEN_LABEL = f"{GROUP}/seq-len"
TRIAL_LABEL = f"{GROUP}/trial"
ATTEMPT_LABEL = f"{GROUP}/attempt"
#: On an ended Job whose outcome is in the database: it is kept for its log only, and not watched any more.
RECORDED_LABEL = f"{GROUP}/recorded"
#: On a Job: names of the pods that it lost without fault; the pods themselves do not stay.
DISRUPTED_ANNOTATION = f"{GROUP}/disrupted"
#: On a Job: how long those of its pods ran that are gone, as `POD=SECONDS,…`.
SPENT_ANNOTATION = f"{GROUP}/spent"
#: On a Job: why the controller told it to end; one that has no such word was ended by somebody else.
STOPPED_ANNOTATION = f"{GROUP}/stopped"
#: On a Job: what its pods were asked to be; one that waits for something else than the request by now is replaced.
POD_ANNOTATION = f"{GROUP}/pod"
#: On a Job: how many of those it may lose before it is given up.
MAX_DISRUPTIONS_ANNOTATION = f"{GROUP}/max-disruptions"

#: On the custom resource: a user asks the controller to cancel; taking it away resumes.
CANCEL_ANNOTATION = f"{GROUP}/cancel"
#: On the custom resource: a new value lets an ended study go on.
RESUME_ANNOTATION = f"{GROUP}/resume"
#: On the custom resource: deleting it also deletes the study in the database.
PURGE_ANNOTATION = f"{GROUP}/purge"
#: Holds a custom resource that is being deleted until its study has left the database.
PURGE_FINALIZER = f"{GROUP}/purge"

#: On the custom resource: the coref-k8s that wrote the request.
VERSION_ANNOTATION = f"{GROUP}/version"

#: Asked of the controller's page of a study: messages as codes with values.
WITH_CODES = "messages=codes"

#: Kueue reads this label.
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
