{{/* Name of the chart's objects: a DNS label, as a Service needs it. */}}
{{- define "logstore-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the objects that are in no namespace: two releases may have the same name in two namespaces. */}}
{{- define "logstore-operator.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "logstore-operator.fullname" .) -}}
{{- end -}}

{{/* Labels of the operator's pods. The component keeps those of Jobs and tests out of Services and budgets. */}}
{{- define "logstore-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of all objects. */}}
{{- define "logstore-operator.labels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "logstore-operator.serviceAccountName" -}}
{{- default (include "logstore-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The image. A digest counts before the tag. */}}
{{- define "logstore-operator.image" -}}
{{- with .Values.image -}}
{{- $repository := ternary .repository (printf "%s/%s" .registry .repository) (empty .registry) -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that are looked after with scope Namespace, as a JSON list. */}}
{{- define "logstore-operator.namespaces" -}}
{{- default (list .Release.Namespace) .Values.namespaces | toJson -}}
{{- end -}}

{{/* What every pod of the chart has: no root, no capability, no writable file of the image. */}}
{{- define "logstore-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "logstore-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Annotations of what is there only while the definition is applied. */}}
{{- define "logstore-operator.crdHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* Annotations of what is there only while `helm test` runs. */}}
{{- define "logstore-operator.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end -}}

{{/* A namespace whose LogStores are looked after: that of the release, if it is one. */}}
{{- define "logstore-operator.testNamespace" -}}
{{- $namespaces := include "logstore-operator.namespaces" . | fromJsonArray -}}
{{- ternary .Release.Namespace (first $namespaces) (or (eq .Values.scope "Cluster") (has .Release.Namespace $namespaces)) -}}
{{- end -}}

{{/* Where pods of the chart may run, and with what they are pulled. */}}
{{- define "logstore-operator.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
