{{/* TOML from values. Helm's own toToml turns whole numbers into fractions. */}}
{{- define "monopod.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{- define "monopod.toml.value" -}}
{{- if or (kindIs "string" .) (kindIs "bool" .) (kindIs "slice" .) -}}
{{- toJson . -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/* A table: `path` is its header, `table` what is in it. */}}
{{- define "monopod.toml.table" -}}
{{- $path := .path -}}
{{- range $key, $value := .table -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "monopod.toml.key" $key }} = {{ include "monopod.toml.value" $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := .table -}}
{{- if kindIs "map" $value -}}
{{- $deeper := printf "%s.%s" $path (include "monopod.toml.key" $key) }}

[{{ $deeper }}]
{{- include "monopod.toml.table" (dict "path" $deeper "table" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The platform file. */}}
{{- define "monopod.platform" -}}
# Made by the chart {{ .Chart.Name }} from its values.

[platform]
name = {{ toJson (include "monopod.fullname" .) }}
state = "/var/lib/monopod"
bundles = "/bundles"

[edge]
listen = "0.0.0.0:{{ include "monopod.port.https" . }}"
health = "0.0.0.0:{{ include "monopod.port.health" . }}"
public-url = {{ toJson .Values.publicUrl }}
drain = "{{ int64 .Values.drainSeconds }}s"
certificate = "/etc/monopod-tls/tls.crt"
key = "/etc/monopod-tls/tls.key"

[identity]
issuer = {{ toJson (include "monopod.issuer" .) }}
audience = {{ toJson (include "monopod.audience" .) }}
{{- if include "monopod.issuer.ca" . }}
ca = "/etc/monopod-issuer/ca.crt"
{{- end }}
{{- $subjects := deepCopy .Values.identity.subjects -}}
{{- if .Values.identity.kubernetes.enabled -}}
{{- $namespace := .Release.Namespace -}}
{{- range $name, $caller := .Values.identity.kubernetes.callers -}}
{{- $_ := set $subjects (printf "system:serviceaccount:%s:%s" $namespace $name) $caller -}}
{{- end -}}
{{- if and .Values.test.enabled (not .Values.test.tokenSecret.name) -}}
{{- $name := printf "%s-test" (include "monopod.fullname" .) -}}
{{- $_ := set $subjects (printf "system:serviceaccount:%s:%s" $namespace $name) (dict "scopes" (list "analysis")) -}}
{{- end -}}
{{- end -}}
{{- include "monopod.toml.table" (dict "path" "identity.subjects" "table" $subjects) -}}
{{- range $name, $policy := .Values.config.policies }}

[policies.{{ include "monopod.toml.key" $name }}]
{{- include "monopod.toml.table" (dict "path" (printf "policies.%s" (include "monopod.toml.key" $name)) "table" $policy) -}}
{{- end }}

[graphql]
{{- include "monopod.toml.table" (dict "path" "graphql" "table" .Values.config.graphql) -}}
{{- include "monopod.toml.table" (dict "path" "topics" "table" .Values.config.topics) -}}
{{- include "monopod.toml.table" (dict "path" "components" "table" .Values.config.components) }}
{{ end -}}
