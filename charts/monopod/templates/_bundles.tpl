{{/* The bundles that the components name, each once, as a JSON array. */}}
{{- define "monopod.bundles" -}}
{{- $names := list -}}
{{- range .Values.config.components -}}{{- $names = append $names .bundle -}}{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{- define "monopod.bundle.volume" -}}
bundle-{{ . | lower | replace "." "-" | replace "_" "-" | replace "/" "-" | trunc 56 | trimSuffix "-" }}
{{- end -}}

{{/* A bundle's image; the argument is a list of the root and the bundle's name. */}}
{{- define "monopod.bundle.image" -}}
{{- $values := (index . 0).Values -}}{{- $name := index . 1 -}}
{{- printf "%s/%s:%s" $values.bundles.repository $name (index $values.bundles.versions $name) -}}
{{- end -}}

{{/* Whether init containers copy the bundles. */}}
{{- define "monopod.bundles.copied" -}}
{{- if and (eq .Values.bundles.delivery "copy") (not .Values.bundles.existingClaim) -}}yes{{- end -}}
{{- end -}}

{{/* A bundle's image has nothing that could run. So the host's image carries its program into a
     volume first, and each bundle's image runs it from there, to copy the bundle out of itself. */}}
{{- define "monopod.bundles.init" -}}
- name: carry
  image: {{ include "monopod.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [carry, /carried]
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "monopod.securityContext" . | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    - name: carried
      mountPath: /carried
{{- range $name := include "monopod.bundles" . | fromJsonArray }}
- name: {{ include "monopod.bundle.volume" $name }}
  image: {{ include "monopod.bundle.image" (list $ $name) }}
  imagePullPolicy: {{ $.Values.bundles.pullPolicy }}
  command: [/carried/loader, --library-path, /carried, /carried/monopod]
  args: [copy, /, {{ printf "/bundles/%s" $name }}]
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    {{- include "monopod.securityContext" $ | nindent 4 }}
  resources:
    {{- toYaml $.Values.resources | nindent 4 }}
  volumeMounts:
    - name: carried
      mountPath: /carried
      readOnly: true
    - name: bundles
      mountPath: /bundles
{{- end }}
{{- end -}}
