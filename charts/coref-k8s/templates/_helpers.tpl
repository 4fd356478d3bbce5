{{/* Name of every object: the release's, unless overridden. */}}
{{- define "coref.name" -}}
{{- default .Release.Name .Values.nameOverride | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of an object. Call with (list $ "component"). */}}
{{- define "coref.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: coref-k8s
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: coref-k8s
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of a pod: without versions, so that a new chart does not restart the database. Call with (list $ "component"). */}}
{{- define "coref.podLabels" -}}
{{ include "coref.selector" . }}
app.kubernetes.io/part-of: coref-k8s
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels that never change, for selectors. Call with (list $ "component"). */}}
{{- define "coref.selector" -}}
app.kubernetes.io/name: coref-k8s
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of the pods of every study's Jobs, as coref_k8s/cluster/jobs.py sets them (instance is the study). */}}
{{- define "coref.trialSelector" -}}
app.kubernetes.io/name: coref-k8s
app.kubernetes.io/managed-by: coref-k8s
{{- end -}}

{{/* metadata of an object in the release's namespace. Call with (list $ "component" "suffix"). */}}
{{- define "coref.metadata" -}}
name: {{ include "coref.name" (index . 0) }}{{ with index . 2 }}-{{ . }}{{ end }}
namespace: {{ (index . 0).Release.Namespace }}
{{ include "coref.described" . }}
{{- end -}}

{{/* Name of a role: cluster-wide ones carry the namespace, since releases in two namespaces may share a name. */}}
{{- define "coref.roleName" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.controller.clusterWide -}}{{ $root.Release.Namespace }}-{{- end -}}
{{ include "coref.name" $root }}-{{ index . 1 }}
{{- end -}}

{{/* metadata of a Role or ClusterRole and its binding. Call with (list $ "component"). */}}
{{- define "coref.roleMetadata" -}}
{{- $root := index . 0 -}}
name: {{ include "coref.roleName" . }}
{{- if not $root.Values.controller.clusterWide }}
namespace: {{ $root.Release.Namespace }}
{{- end }}
{{ include "coref.described" . }}
{{- end -}}

{{/* Labels and annotations of an object. Call with (list $ "component"). */}}
{{- define "coref.described" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "coref.labels" (list $root (index . 1)) | nindent 2 }}
{{- with $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image by digest or tag. Call with (list $ .Values.x.image). */}}
{{- define "coref.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default (index . 0).Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Restricted Pod Security Standard, pod level. Call with the user id. */}}
{{- define "coref.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Restricted Pod Security Standard, container level. */}}
{{- define "coref.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Where a pod runs. Call with the values of its component. */}}
{{- define "coref.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Egress to name servers, on OpenShift's port as well: rules are applied after the address was translated. */}}
{{- define "coref.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
    - {port: 5353, protocol: UDP}
    - {port: 5353, protocol: TCP}
{{- end -}}

{{/* Egress that a value gives: everything where an older release's values have none (`--reuse-values`). */}}
{{- define "coref.egress" -}}
{{- if kindIs "invalid" . -}}
- {}
{{- else if . -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* Egress to the bundled database. */}}
{{- define "coref.databaseEgress" -}}
{{- if .Values.postgres.enabled -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "coref.selector" (list . "postgres") | nindent 10 }}
  ports:
    - port: 5432
{{- end -}}
{{- end -}}

{{/* Two controllers with two databases would both run the studies of one namespace. */}}
{{- define "coref.alone" -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- $other := get $labels "app.kubernetes.io/instance" }}
{{- if and (eq (get $labels "app.kubernetes.io/name") "coref-k8s") (eq (get $labels "app.kubernetes.io/component") "controller") (ne $other $.Release.Name) }}
{{- fail (printf "release %s already runs the studies of namespace %s: one release a namespace" $other $.Release.Namespace) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Name of the claim of the shared volume. */}}
{{- define "coref.dataClaim" -}}
{{- default (printf "%s-data" (include "coref.name" .)) .Values.storage.existingClaim -}}
{{- end -}}

{{/* Name of the Secret with the database's URL under `url` and, bundled, its password under `password`. */}}
{{- define "coref.databaseSecret" -}}
{{- if .Values.postgres.enabled -}}
{{- default (printf "%s-postgres" (include "coref.name" .)) .Values.postgres.existingSecret -}}
{{- else -}}
{{- required "postgres.enabled is false: name the Secret with the database URL in postgres.external.urlSecret" .Values.postgres.external.urlSecret -}}
{{- end -}}
{{- end -}}

{{/* URL of the bundled database. Call with (list $ "password"). */}}
{{- define "coref.databaseUrl" -}}
{{- $root := index . 0 -}}
postgresql+psycopg2://coref:{{ index . 1 }}@{{ include "coref.name" $root }}-postgres.{{ $root.Release.Namespace }}.svc:5432/coref
{{- if $root.Values.postgres.tlsSecret -}}
?sslmode={{ $root.Values.postgres.tlsMode }}
{{- if ne $root.Values.postgres.tlsMode "require" -}}
{{- $_ := required "postgres.tlsMode checks the certificate: name the ConfigMap with its authority in network.caConfigMap" $root.Values.network.caConfigMap -}}
&sslrootcert=/run/coref/ca/ca.crt
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a resource of the Prometheus operator is made. Call with (list $ "auto|true|false" "Kind"). */}}
{{- define "coref.operated" -}}
{{- $root := index . 0 -}}
{{- $wish := toString (index . 1) -}}
{{- if or (eq $wish "true") (and (eq $wish "auto") ($root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" (index . 2)))) -}}
true
{{- end -}}
{{- end -}}
