{{/* Names of objects. Labels do not follow them: selectors, alerts and runbooks stay as they are. */}}
{{- define "anamnesis.prefix" -}}
{{ .Values.fullnameOverride | default .Values.nameOverride | default "anamnesis" }}
{{- end }}
{{- define "anamnesis.fullname" -}}
{{ .Values.fullnameOverride | default (printf "%s-operator" (include "anamnesis.prefix" .)) }}
{{- end }}
{{- define "anamnesis.store.fullname" -}}
{{ include "anamnesis.prefix" . }}-object-store
{{- end }}
{{- define "anamnesis.account" -}}
{{ .Values.serviceAccount.name | default (include "anamnesis.fullname" .) }}
{{- end }}

{{/* Labels. Those of a selector never change, so commonLabels are not among them. */}}
{{- define "anamnesis.selector" -}}
app.kubernetes.io/name: anamnesis-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "anamnesis.store.selector" -}}
app.kubernetes.io/name: anamnesis-object-store
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "anamnesis.labels" -}}
{{ include "anamnesis.labels.with" (dict "root" .) }}
{{- end }}
{{- define "anamnesis.store.labels" -}}
{{ include "anamnesis.labels.with" (dict "root" . "name" "object-store") }}
{{- end }}
{{- /* (dict "root" $ "name" the component, "operator" by default, "more" a map of further labels) */}}
{{- define "anamnesis.labels.with" -}}
{{- $own := dict "app.kubernetes.io/name" (printf "anamnesis-%s" (.name | default "operator")) -}}
{{- $_ := set $own "app.kubernetes.io/instance" .root.Release.Name -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "anamnesis" -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) -}}
{{- toYaml (merge $own (.more | default dict) .root.Values.commonLabels) -}}
{{- end }}
{{- /* Labels of a pod: (dict "root" $ "selector" name of a template "more" a map of further labels) */}}
{{- define "anamnesis.labels.pod" -}}
{{- toYaml (merge (include .selector .root | fromYaml) (.more | default dict) .root.Values.commonLabels) -}}
{{- end }}
{{- /* The text of manifests with commonLabels: (dict "root" $ "file" path). Parsing would change large numbers. */}}
{{- define "anamnesis.labels.file" -}}
{{- $text := .root.Files.Get .file -}}
{{- with .root.Values.commonLabels }}{{ $text = replace "\n  labels:\n" (printf "\n  labels:\n%s\n" (toYaml . | indent 4)) $text }}{{ end -}}
{{- $text -}}
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

{{/* The proxy's variables without a password, as a map; empty where there is no proxy. */}}
{{- define "anamnesis.proxy" -}}
{{- $variables := dict -}}
{{- with .Values.proxy.https }}{{ $_ := set $variables "HTTPS_PROXY" . }}{{ end -}}
{{- with .Values.proxy.http }}{{ $_ := set $variables "HTTP_PROXY" . }}{{ end -}}
{{- if or $variables .Values.proxy.secretName }}{{ $_ := set $variables "NO_PROXY" .Values.proxy.direct }}{{ end -}}
{{- toJson $variables -}}
{{- end }}

{{/* The proxy's variables that come from a Secret, as a JSON list of the form of pipelines.pods.env. */}}
{{- define "anamnesis.proxy.secrets" -}}
{{- $list := list -}}
{{- with .Values.proxy.secretName -}}
{{- range $name := list "HTTPS_PROXY" "HTTP_PROXY" -}}
{{- $list = append $list (dict "name" $name "type" "Secret" "secret" (dict "name" $.Values.proxy.secretName "key" $name)) -}}
{{- end -}}
{{- end -}}
{{- toJson $list -}}
{{- end }}

{{/* The environment of the operator, as a JSON list in a map; a variable of operator.extraEnv replaces the chart's. */}}
{{- define "anamnesis.environment" -}}
{{- $list := list -}}
{{- range $name, $path := dict "POD_IP" "status.podIP" "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" -}}
{{- $list = append $list (dict "name" $name "valueFrom" (dict "fieldRef" (dict "fieldPath" $path))) -}}
{{- end -}}
{{- $texts := include "anamnesis.proxy" . | fromJson -}}
{{- if .Values.pipelines.tokenAudience }}{{ $_ := set $texts "KF_PIPELINES_SA_TOKEN_PATH" "/var/run/secrets/kubeflow/pipelines/token" }}{{ end -}}
{{- if .Values.trust.configMap -}}
{{- range list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE" }}{{ $_ := set $texts . (printf "/etc/anamnesis/trust/%s" $.Values.trust.key) }}{{ end -}}
{{- end -}}
{{- range $name, $value := $texts }}{{ $list = append $list (dict "name" $name "value" $value) }}{{ end -}}
{{- range include "anamnesis.proxy.secrets" . | fromJsonArray -}}
{{- $list = append $list (dict "name" .name "valueFrom" (dict "secretKeyRef" .secret)) -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.operator.extraEnv }}{{ $names = append $names .name }}{{ end -}}
{{- $kept := list -}}
{{- range $list }}{{ if not (has .name $names) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- dict "env" (concat $kept .Values.operator.extraEnv) | toJson -}}
{{- end }}

{{/* Where a pod may run: the values of the operator or of the object store. */}}
{{- define "anamnesis.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A quantity -> its number of CPUs, or of bytes. */}}
{{- define "anamnesis.quantity" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number .) | default 1.0) -}}
{{- end }}
{{/* Fails where a limit is below its request: (dict "path" of the values "amounts" requests and limits) */}}
{{- define "anamnesis.check.limits" -}}
{{- $requests := .amounts.requests | default dict -}}
{{- range $name, $limit := .amounts.limits | default dict -}}
{{- $request := get $requests $name -}}
{{- if and $limit $request (lt (include "anamnesis.quantity" (toString $limit) | float64) (include "anamnesis.quantity" (toString $request) | float64)) -}}
{{- fail (printf "%s: limits.%s (%v) is less than requests.%s (%v): lower the request too, or raise the limit" $.path $name $limit $name $request) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Combinations of values that are invalid. */}}
{{- define "anamnesis.check" -}}
{{- range $step, $amounts := .Values.pipelines.pods.resources -}}
{{- include "anamnesis.check.limits" (dict "path" (printf "pipelines.pods.resources.%s" $step) "amounts" ($amounts | default dict)) -}}
{{- end -}}
{{- range $part := list "operator" "objectStore" "test" -}}
{{- include "anamnesis.check.limits" (dict "path" (printf "%s.resources" $part) "amounts" ((index $.Values $part).resources | default dict)) -}}
{{- end -}}
{{- range $field := list "HTTPS_PROXY" "HTTP_PROXY" -}}
{{- if contains "@" (get ($.Values.pipelines.pods.environment | default dict) $field | toString) -}}
{{- fail (printf "pipelines.pods.environment.%s: this URL has a password, which everybody could read who may read ConfigMaps: remove it, and set proxy.secretName to a Secret with the keys HTTPS_PROXY and HTTP_PROXY" $field) -}}
{{- end -}}
{{- end -}}
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
{{- range $field, $url := pick .Values.proxy "https" "http" -}}
{{- if contains "@" $url -}}
{{- fail (printf "proxy.%s: this URL has a password, which everybody could read who may read Deployments and ConfigMaps: remove it, and set proxy.secretName to a Secret with the keys HTTPS_PROXY and HTTP_PROXY" $field) -}}
{{- end -}}
{{- if and $url $.Values.proxy.secretName }}{{ fail (printf "proxy.%s: remove it: the Secret of proxy.secretName has the URLs" $field) }}{{ end -}}
{{- end -}}
{{- range $part, $own := dict "operator" (list "scratch" "pod-defaults" "pipelines-token" "signing" "trust" "state") "objectStore" (list "data" "scratch") -}}
{{- $names := list -}}
{{- range (index $.Values $part).extraVolumes -}}
{{- if has .name $own }}{{ fail (printf "%s.extraVolumes: the chart has a volume %s: choose another name" $part .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range (index $.Values $part).extraVolumeMounts -}}
{{- if not (has .name $names) }}{{ fail (printf "%s.extraVolumeMounts: no volume %s: add it to %s.extraVolumes" $part .name $part) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.commonLabels -}}
{{- if regexMatch "^(app[.]kubernetes[.]io|helm[.]sh|rbac[.]authorization[.]k8s[.]io)/" $name -}}
{{- fail (printf "commonLabels: the chart sets %s itself, or Kubernetes reads it: choose another label" $name) -}}
{{- end -}}
{{- end -}}
{{- range .Values.operator.extraEnv -}}
{{- if has .name (list "POD_NAME" "POD_NAMESPACE" "POD_IP") }}{{ fail (printf "operator.extraEnv: the operator needs its own %s: remove it" .name) }}{{ end -}}
{{- end -}}
{{- if and .Values.objectStore.enabled (not .Values.objectStore.credentialsSecret) -}}
{{- fail "objectStore.credentialsSecret: name the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" -}}
{{- end -}}
{{- end }}
