{{/* Names. */}}
{{- define "monopod.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "monopod.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "monopod.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "monopod.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "monopod.selector" -}}
app.kubernetes.io/name: {{ include "monopod.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "monopod.meta" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "monopod.labels" -}}
{{ include "monopod.selector" . }}
{{ include "monopod.meta" . }}
{{- end -}}

{{- define "monopod.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "monopod.claim" -}}
{{- default (printf "%s-state" (include "monopod.fullname" .)) .Values.state.existingClaim -}}
{{- end -}}

{{/* The ports, in one place. */}}
{{- define "monopod.port.https" -}}8443{{- end -}}
{{- define "monopod.port.health" -}}8080{{- end -}}

{{/* Where the issuer is, its audience, and the config map with what it is trusted by. */}}
{{- define "monopod.issuer" -}}
{{- if .Values.identity.issuer -}}
{{- .Values.identity.issuer -}}
{{- else if .Values.identity.kubernetes.enabled -}}
{{- .Values.identity.kubernetes.issuer -}}
{{- end -}}
{{- end -}}

{{- define "monopod.issuer.port" -}}
{{- $host := (urlParse (include "monopod.issuer" .)).host -}}
{{- if regexMatch ":[0-9]+$" $host -}}{{ regexFind "[0-9]+$" $host }}{{- else -}}443{{- end -}}
{{- end -}}

{{/* Where the components' grants lead, as `network|port`, or `public|port`: one in each line. */}}
{{- define "monopod.servers" -}}
{{- $servers := dict -}}
{{- range $component := .Values.config.components -}}
{{- range $place := dig "grants" "http" (list) $component -}}
{{- $parts := splitList " at " $place -}}
{{- $url := urlParse (first $parts) -}}
{{- $port := ternary "443" "80" (eq $url.scheme "https") -}}
{{- if regexMatch ":[0-9]+$" $url.host -}}{{- $port = regexFind "[0-9]+$" $url.host -}}{{- end -}}
{{- $networks := list "public" -}}
{{- if gt (len $parts) 1 -}}
{{- $networks = splitList "," (last $parts) -}}
{{- else if regexMatch "^([0-9.]+|.*:.*)$" $url.hostname -}}
{{- $networks = list $url.hostname -}}
{{- end -}}
{{- range $network := $networks -}}
{{- $network = trim $network -}}
{{- if not (regexMatch "^(127\\.|::1)" $network) -}}
{{- if not (or (eq $network "public") (contains "/" $network)) -}}
{{- $network = printf "%s/%s" $network (ternary "128" "32" (contains ":" $network)) -}}
{{- end -}}
{{- $_ := set $servers (printf "%s|%s" $network $port) true -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- keys $servers | sortAlpha | join "\n" -}}
{{- end -}}

{{- define "monopod.audience" -}}
{{- .Values.identity.audience | default (include "monopod.fullname" .) -}}
{{- end -}}

{{- define "monopod.issuer.ca" -}}
{{- if .Values.identity.caConfigMap.name -}}
{{- .Values.identity.caConfigMap.name -}}
{{- else if .Values.identity.kubernetes.enabled -}}
kube-root-ca.crt
{{- end -}}
{{- end -}}

{{/* Whether `helm test` can have a token. */}}
{{- define "monopod.test" -}}
{{- if and .Values.test.enabled (or .Values.identity.kubernetes.enabled .Values.test.tokenSecret.name) -}}yes{{- end -}}
{{- end -}}

{{/* The host of the public address, without a port. */}}
{{- define "monopod.host" -}}
{{- regexReplaceAll ":[0-9]+$" (urlParse .Values.publicUrl).host "" -}}
{{- end -}}

{{/* What a container must not do. */}}
{{- define "monopod.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "monopod.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# A large volume is not walked through at every start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
