{{- define "runegate.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "runegate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "runegate.valkeySelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: valkey
{{- end -}}

{{- define "runegate.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "runegate.secretName" -}}
{{- .Values.secrets.existingSecret | default (include "runegate.name" .) -}}
{{- end -}}

{{- define "runegate.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "runegate.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- /* A value as the environment has it: numbers as they were written, and not 1.048576e+06. */ -}}
{{- define "runegate.value" -}}
{{- if kindIs "float64" . }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{- /* The public hosts, as a list in JSON. */ -}}
{{- define "runegate.hosts" -}}
{{- $own := (urlParse (index .Values.options "RUNEGATE_BASE_URL" | default "")).hostname -}}
{{- prepend .Values.hosts $own | uniq | toJson -}}
{{- end -}}

{{- /* What no container here may do. */ -}}
{{- define "runegate.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}
