{{- define "etcd-doctor.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "etcd-doctor.selector" -}}
app.kubernetes.io/name: etcd-doctor
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "etcd-doctor.labels" -}}
{{ include "etcd-doctor.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The configuration: what the values say, and what the mode makes of it. */}}
{{- define "etcd-doctor.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if eq .Values.mode "control-plane" }}
{{- if not $config.clusters }}
{{- $tls := dict "ca_file" "/etc/etcd-certificates/ca.crt" "cert_file" "/etc/etcd-certificates/client.crt" "key_file" "/etc/etcd-certificates/client.key" }}
{{- $_ := set $config "clusters" (list (dict "name" "kubernetes" "endpoints" (list "https://127.0.0.1:2379") "tls" $tls)) }}
{{- end }}
{{- if include "etcd-doctor.look" . }}
{{- range $config.clusters }}{{ if not (hasKey . "host") }}{{ $_ := set . "host" "limited" }}{{ end }}{{ end }}
{{- $_ := set $config "paths" (mergeOverwrite (dict "proc" "/host/proc" "sys" "/host/sys" "rootfs" "/host/rootfs") (default dict $config.paths)) }}
{{- else }}
{{- range $config.clusters }}{{ $_ := set . "host" false }}{{ end }}
{{- end }}
{{- else if not $config.clusters }}
{{- fail "config.clusters: the mode central needs the clusters to watch" }}
{{- end }}
{{- $_ := set $config "rules" (mergeOverwrite (dict "state_dir" "/var/lib/etcd-doctor") (default dict $config.rules)) }}
{{- toYaml $config }}
{{- end }}

{{/* Whether the node is looked at: k3s has no process of etcd. Empty for no. */}}
{{- define "etcd-doctor.look" -}}
{{- if and (eq .Values.mode "control-plane") .Values.controlPlane.host (ne .Values.controlPlane.distribution "k3s") }}true{{ end }}
{{- end }}

{{/* Where a distribution keeps etcd's data, and the public files of its certificates. */}}
{{- define "etcd-doctor.data" -}}
{{- if .Values.controlPlane.dataDir -}}
{{ .Values.controlPlane.dataDir }}
{{- else if eq .Values.controlPlane.distribution "kubeadm" -}}
/var/lib/etcd
{{- else -}}
/var/lib/rancher/{{ .Values.controlPlane.distribution }}/server/db/etcd
{{- end }}
{{- end }}
{{- define "etcd-doctor.public" -}}
{{- if eq .Values.controlPlane.distribution "kubeadm" -}}
{etcd-ca: /etc/kubernetes/pki/etcd/ca.crt, etcd-server: /etc/kubernetes/pki/etcd/server.crt, etcd-peer: /etc/kubernetes/pki/etcd/peer.crt}
{{- else -}}
{{- $folder := printf "/var/lib/rancher/%s/server/tls/etcd" .Values.controlPlane.distribution -}}
{etcd-ca: {{ $folder }}/server-ca.crt, etcd-peer-ca: {{ $folder }}/peer-ca.crt, etcd-server: {{ $folder }}/server-client.crt, etcd-peer: {{ $folder }}/peer-server-client.crt}
{{- end }}
{{- end }}

{{/* Where a distribution keeps the CA of etcd's servers, and a client certificate with its key. */}}
{{- define "etcd-doctor.certificates" -}}
{{- if eq .Values.controlPlane.distribution "kubeadm" -}}
{ca.crt: /etc/kubernetes/pki/etcd/ca.crt, client.crt: /etc/kubernetes/pki/etcd/healthcheck-client.crt, client.key: /etc/kubernetes/pki/etcd/healthcheck-client.key}
{{- else -}}
{{- $folder := printf "/var/lib/rancher/%s/server/tls/etcd" .Values.controlPlane.distribution -}}
{ca.crt: {{ $folder }}/server-ca.crt, client.crt: {{ $folder }}/client.crt, client.key: {{ $folder }}/client.key}
{{- end }}
{{- end }}

{{/* The pod of both modes. */}}
{{- define "etcd-doctor.pod" -}}
{{- $host := eq .Values.mode "control-plane" }}
{{- $nodeFiles := and $host (not .Values.certificates.secretName) }}
{{- $look := include "etcd-doctor.look" . }}
{{- if and $look .Values.certificates.secretName }}
{{- fail "controlPlane.host: only root may look into etcd's data folder and logs, and with certificates.secretName it does not run as root: set it to false" }}
{{- end }}
metadata:
  labels:
    {{- include "etcd-doctor.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    kubectl.kubernetes.io/default-container: etcd-doctor
    # A change of the configuration gives new pods.
    checksum/config: {{ include "etcd-doctor.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if $host }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchExpressions:
              - {key: {{ .Values.controlPlane.nodeLabel | default (eq .Values.controlPlane.distribution "kubeadm" | ternary "node-role.kubernetes.io/control-plane" "node-role.kubernetes.io/etcd") }}, operator: Exists}
  tolerations:
    - {key: node-role.kubernetes.io/control-plane, operator: Exists}
    - {key: node-role.kubernetes.io/etcd, operator: Exists}
    - {key: CriticalAddonsOnly, operator: Exists}
    - {key: node.kubernetes.io/not-ready, operator: Exists}
    - {key: node.kubernetes.io/unreachable, operator: Exists}
    - {key: node.kubernetes.io/disk-pressure, operator: Exists}
    - {key: node.kubernetes.io/memory-pressure, operator: Exists}
    {{- with .Values.tolerations }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- else }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  securityContext:
    {{- if $nodeFiles }}
    # The node's keys are readable for root only: as their owner root reads them without any capability.
    runAsUser: 0
    runAsGroup: 0
    {{- else }}
    runAsNonRoot: true
    runAsUser: 65534
    runAsGroup: 65534
    fsGroup: 65534
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: etcd-doctor
      image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config.file=/etc/etcd-doctor/etcd-doctor.yaml, "--web.listen-address=:{{ .Values.service.port }}"]
      ports:
        - {name: http, containerPort: {{ .Values.service.port }}, protocol: TCP}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      livenessProbe:
        httpGet: {path: /-/healthy, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /-/ready, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      resources: {{ toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/etcd-doctor, readOnly: true}
        - {name: state, mountPath: /var/lib/etcd-doctor}
        {{- if .Values.certificates.secretName }}
        - {name: certificates, mountPath: /etc/etcd-certificates, readOnly: true}
        {{- end }}
        {{- if $nodeFiles }}
        - {name: ca-crt, mountPath: /etc/etcd-certificates/ca.crt, readOnly: true}
        - {name: client-crt, mountPath: /etc/etcd-certificates/client.crt, readOnly: true}
        - {name: client-key, mountPath: /etc/etcd-certificates/client.key, readOnly: true}
        {{- end }}
        {{- if $look }}
        - {name: proc, mountPath: /host/proc, readOnly: true}
        # Not all of /sys: what is mounted below it, such as debugfs, would not be read-only.
        - {name: sys-block, mountPath: /host/sys/block, readOnly: true}
        - {name: sys-devices, mountPath: /host/sys/devices, readOnly: true}
        - {name: cgroup, mountPath: /host/sys/fs/cgroup, readOnly: true}
        # What etcd's settings name, at the same place below paths.rootfs. No key is among it.
        - {name: etcd-data, mountPath: /host/rootfs{{ include "etcd-doctor.data" . }}, readOnly: true}
        {{- range $name, $path := include "etcd-doctor.public" . | fromYaml }}
        - {name: {{ $name }}, mountPath: /host/rootfs{{ $path }}, readOnly: true}
        {{- end }}
        # A log of a container is a link to one of a pod.
        - {name: container-logs, mountPath: /host/rootfs/var/log/containers, readOnly: true}
        - {name: pod-logs, mountPath: /var/log/pods, readOnly: true}
        - {name: pod-logs, mountPath: /host/rootfs/var/log/pods, readOnly: true}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "etcd-doctor.name" . }}}
    - name: state
      emptyDir: {sizeLimit: 16Mi}
    {{- with .Values.certificates.secretName }}
    - name: certificates
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- if $nodeFiles }}
    {{- range $name, $path := include "etcd-doctor.certificates" . | fromYaml }}
    - name: {{ $name | replace "." "-" }}
      hostPath: {path: {{ $path }}, type: File}
    {{- end }}
    {{- end }}
    {{- if $look }}
    - name: proc
      hostPath: {path: /proc, type: Directory}
    - name: sys-block
      hostPath: {path: /sys/block, type: Directory}
    - name: sys-devices
      hostPath: {path: /sys/devices, type: Directory}
    - name: cgroup
      hostPath: {path: /sys/fs/cgroup, type: Directory}
    - name: etcd-data
      hostPath: {path: {{ include "etcd-doctor.data" . }}, type: Directory}
    {{- range $name, $path := include "etcd-doctor.public" . | fromYaml }}
    - name: {{ $name }}
      hostPath: {path: {{ $path }}, type: File}
    {{- end }}
    - name: container-logs
      hostPath: {path: /var/log/containers, type: Directory}
    - name: pod-logs
      hostPath: {path: /var/log/pods, type: Directory}
    {{- end }}
{{- end }}
