{{/* Labels of every object; the labels of a selector never change. */}}
{{- define "anamnesis.selector" -}}
app.kubernetes.io/name: anamnesis-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "anamnesis.labels" -}}
{{ include "anamnesis.selector" . }}
{{ include "anamnesis.labels.common" . }}
{{- end }}
{{- define "anamnesis.labels.common" -}}
app.kubernetes.io/part-of: anamnesis
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "anamnesis.store.selector" -}}
app.kubernetes.io/name: anamnesis-object-store
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "anamnesis.store.labels" -}}
{{ include "anamnesis.store.selector" . }}
{{ include "anamnesis.labels.common" . }}
{{- end }}

{{/* The reference of an image: (dict "root" $ "name" "operator") -> registry/repository:tag@digest */}}
{{- define "anamnesis.image" -}}
{{- $image := index .root.Values.images .name -}}
{{- $registry := .root.Values.registry | default $image.registry -}}
{{- $tag := $image.tag | default (eq .name "objectStore" | ternary "" .root.Chart.AppVersion) -}}
{{- if not $image.repository }}{{ fail (printf "images.%s.repository: set the name of the image" .name) }}{{ end -}}
{{- if and .root.Values.requireDigests (not $image.digest) -}}
{{- fail (printf "images.%s.digest: requireDigests is true: set the digest of the image" .name) -}}
{{- end -}}
{{- if not (or $tag $image.digest) }}{{ fail (printf "images.%s: set a tag or a digest" .name) }}{{ end -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end }}
{{/* Names -> a JSON list of objects with these names. */}}
{{- define "anamnesis.named" -}}
{{- $objects := list -}}
{{- range . }}{{ $objects = append $objects (dict "name" .) }}{{ end -}}
{{- toJson $objects -}}
{{- end }}

{{/* The security settings that the Pod Security Standard "restricted" requires. */}}
{{- define "anamnesis.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.operator.userId }}
runAsUser: {{ int . }}
runAsGroup: {{ int . }}
fsGroup: {{ int . }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "anamnesis.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The watched namespaces, as a JSON list; empty for all. */}}
{{- define "anamnesis.namespaces" -}}
{{- if has "*" .Values.watchNamespaces }}[]{{ else }}{{ .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toJson }}{{ end }}
{{- end }}
{{- define "anamnesis.watchesAll" -}}
{{- if has "*" .Values.watchNamespaces }}true{{ end }}
{{- end }}

{{/* The proxy's variables as a map; empty where there is no proxy. */}}
{{- define "anamnesis.proxy" -}}
{{- $variables := dict -}}
{{- with .Values.proxy.https }}{{ $_ := set $variables "HTTPS_PROXY" . }}{{ end -}}
{{- with .Values.proxy.http }}{{ $_ := set $variables "HTTP_PROXY" . }}{{ end -}}
{{- if $variables }}{{ $_ := set $variables "NO_PROXY" .Values.proxy.direct }}{{ end -}}
{{- toJson $variables -}}
{{- end }}

{{/* Combinations of values that are invalid. */}}
{{- define "anamnesis.check" -}}
{{- $many := gt (int .Values.operator.replicas) 1 -}}
{{- if and $many .Values.state.enabled (not .Values.state.existingClaim) (ne .Values.state.accessMode "ReadWriteMany") -}}
{{- fail "state.accessMode: several replicas share the volume: set ReadWriteMany, or operator.replicas to 1" -}}
{{- end -}}
{{- if and .Values.operator.localTraining (or $many (not .Values.state.enabled)) -}}
{{- fail "operator.localTraining: local runs need one pod and its volume: set operator.replicas to 1 and state.enabled to true" -}}
{{- end -}}
{{- if and (has "*" .Values.watchNamespaces) (gt (len .Values.watchNamespaces) 1) -}}
{{- fail "watchNamespaces: \"*\" already means all namespaces: remove the other entries" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.apiServer.cidrs) -}}
{{- fail "networkPolicy.apiServer.cidrs: the operator must reach the API server: set the addresses that `kubectl get endpoints kubernetes` shows" -}}
{{- end -}}
{{- if and .Values.objectStore.enabled (not .Values.objectStore.credentialsSecret) -}}
{{- fail "objectStore.credentialsSecret: name the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" -}}
{{- end -}}
{{- end }}
