{{/* What every object is called; a CronJob's name has 52 characters at most. */}}
{{- define "lbtest.name" -}}
{{- $name := contains "lbtest" .Release.Name | ternary .Release.Name (printf "%s-lbtest" .Release.Name) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What chooses the release's pods. */}}
{{- define "lbtest.selector" -}}
app.kubernetes.io/name: lbtest
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object. */}}
{{- define "lbtest.labels" -}}
{{ include "lbtest.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "lbtest.tokenSecret" -}}
{{ .Values.serve.tokenSecret | default (include "lbtest.name" .) }}
{{- end }}
