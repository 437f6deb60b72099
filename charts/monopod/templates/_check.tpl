{{/* What no schema can say: values that have to fit one another, or the cluster. */}}
{{- define "monopod.check" -}}
{{- $v := .Values -}}
{{- if not $v.publicUrl -}}
{{- fail "\n\npublicUrl is missing: the address clients use.\n  fix: --set publicUrl=https://graphql.example.com" -}}
{{- end -}}
{{- if not $v.tls.secretName -}}
{{- fail "\n\ntls.secretName is missing: the secret with the certificate for publicUrl.\n  fix: --set tls.secretName=NAME" -}}
{{- end -}}
{{- if not (include "monopod.issuer" .) -}}
{{- fail "\n\nidentity.issuer is missing: whose tokens count.\n  fix: --set identity.issuer=https://… --set identity.audience=…, or --set identity.kubernetes.enabled=true" -}}
{{- end -}}
{{- if and $v.identity.issuer (not $v.identity.audience) -}}
{{- fail "\n\nidentity.audience is missing: tokens for other programs would be accepted.\n  fix: --set identity.audience=api://…" -}}
{{- end -}}
{{- if and $v.identity.kubernetes.callers (not $v.identity.kubernetes.enabled) -}}
{{- fail "\n\nidentity.kubernetes.callers are given, but the cluster is not the issuer.\n  fix: --set identity.kubernetes.enabled=true, or use identity.subjects" -}}
{{- end -}}
{{- if not $v.config.components -}}
{{- fail "\n\nconfig.components is empty: nothing would run." -}}
{{- end -}}
{{- if not $v.bundles.existingClaim -}}
{{- range $name, $component := $v.config.components -}}
{{- if not (hasKey $v.bundles.versions $component.bundle) -}}
{{- fail (printf "\n\ncomponent %q needs the bundle %q, which has no version.\n  fix: --set bundles.versions.%s=0.1.0" $name $component.bundle $component.bundle) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.bundles.delivery "volume") (not $v.bundles.existingClaim) (semverCompare "<1.33.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "\n\nKubernetes %s has no image volumes, which bring the bundles.\n  fix: --set bundles.delivery=copy" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "\n\nhttpRoute.parentRefs is empty: no gateway would serve the route.\n  fix: --set 'httpRoute.parentRefs[0].name=GATEWAY'" -}}
{{- end -}}
{{- if $v.tls.check -}}
{{- /* Empty without a cluster (helm template), and before the namespace is there. */ -}}
{{- if lookup "v1" "Namespace" "" .Release.Namespace -}}
{{- if not (lookup "v1" "Secret" .Release.Namespace $v.tls.secretName) -}}
{{- fail (printf "\n\nthe secret %q is missing in the namespace %q.\n  fix: kubectl --namespace %s create secret tls %s --cert=tls.crt --key=tls.key\n  If it comes later: --set tls.check=false" $v.tls.secretName .Release.Namespace .Release.Namespace $v.tls.secretName) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
