{{- define "lunaroute.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "lunaroute.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lunaroute.labels" -}}
{{ include "lunaroute.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* What the three containers have in common. */}}
{{- define "lunaroute.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: home, mountPath: /home/lunaroute}
  - {name: config, mountPath: /etc/lunaroute, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "lunaroute.env" -}}
- name: LUNAROUTE_CONFIG
  value: /etc/lunaroute/config.toml
- name: LUNAROUTE_NODE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}
