{{/* What every pod's spec begins with; given the root. */}}
{{- define "lbtest.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
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
{{- end }}

{{/* Fits the restricted Pod Security Standard. */}}
{{- define "lbtest.securityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What every container begins with; given the root. */}}
{{- define "lbtest.container" -}}
name: lbtest
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "lbtest.configMount" -}}
- name: config
  mountPath: /etc/lbtest
  readOnly: true
{{- end }}

{{- define "lbtest.configVolume" -}}
- name: config
  configMap:
    name: {{ include "lbtest.name" . }}
{{- end }}

{{/* A pod that runs the gate once and ends with its exit status; given (dict "root" $ "args" its arguments). */}}
{{- define "lbtest.gate" -}}
restartPolicy: Never
{{ include "lbtest.podSpec" .root }}
securityContext:
  {{- include "lbtest.securityContext" .root | nindent 2 }}
containers:
  - {{- include "lbtest.container" .root | nindent 4 }}
    args:
      - --config=/etc/lbtest/lbtest.toml
      - --no-progress
      {{- range .args }}
      - {{ . | quote }}
      {{- end }}
    {{- with .env }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      {{- include "lbtest.configMount" .root | nindent 6 }}
volumes:
  {{- include "lbtest.configVolume" .root | nindent 2 }}
{{- end }}

{{/* FAIL, a command line that cannot be used, INCONCLUSIVE (1, 2, 3) fail a Job at once: another try would resample until
     it passes. What could not measure (4) is tried again, and a node that is drained says nothing about the split. */}}
{{- define "lbtest.podFailurePolicy" -}}
rules:
  - action: FailJob
    onExitCodes:
      containerName: lbtest
      operator: In
      values: [1, 2, 3]
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
  - action: Count
    onExitCodes:
      containerName: lbtest
      operator: In
      values: [4]
{{- end }}
