import type { ConnectionProperties } from '../control/connection-properties.ts'
import { TARGET_PREFIX } from '../lib/names.ts'

/** What the objects are made of. */
export interface ManifestInput {
  readonly volume: { readonly name: string; readonly sizeBytes: number }
  /** Kubelet logs in under this name, whatever the node's own is. */
  readonly initiator: string
  readonly connection: ConnectionProperties
  readonly namespace: string
}

/** Of the Pod that shows how the claim is used. */
const IMAGE = 'busybox:stable'
const MOUNT_PATH = '/data'
const UNITS = [
  ['Gi', 2 ** 30],
  ['Mi', 2 ** 20],
  ['Ki', 2 ** 10],
] as const

/** The name that a volume's own initiator has in clusters, unless one is given. */
export function kubernetesInitiator(volume: string): string {
  return `${TARGET_PREFIX.replace(/:$/, '.kubernetes:')}${volume}`
}

/** A Secret, a PersistentVolume of the `iscsi` type bound to its claim, and a Pod that mounts it. */
export function kubernetesManifest(input: ManifestInput): readonly object[] {
  const { volume, namespace } = input
  const name = objectName(volume.name)
  const here = { name, namespace }
  const readOnly = input.connection.access_mode === 'ro'
  const storage = quantity(volume.sizeBytes)
  // Also where it is read-only: the initiator's name is one, so one node at a time has its session.
  const accessModes = ['ReadWriteOnce']
  return [
    secret(input, name),
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        capacity: { storage },
        accessModes,
        volumeMode: 'Filesystem',
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: '',
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...here },
        iscsi: iscsiSource(input, name, readOnly),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: here,
      spec: { accessModes, storageClassName: '', volumeName: name, resources: { requests: { storage } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: here,
      spec: {
        containers: [
          {
            name: 'shell',
            image: IMAGE,
            command: ['sleep', 'infinity'],
            volumeMounts: [{ name: 'data', mountPath: MOUNT_PATH, readOnly }],
          },
        ],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: name, readOnly } }],
      },
    },
  ]
}

function iscsiSource({ connection, initiator, namespace }: ManifestInput, name: string, readOnly: boolean) {
  const [targetPortal, ...portals] = connection.target_portals
  return {
    targetPortal,
    ...(portals.length === 0 ? {} : { portals }),
    iqn: connection.target_iqn,
    lun: connection.target_lun,
    fsType: 'ext4',
    readOnly,
    initiatorName: initiator,
    chapAuthSession: true,
    ...(connection.discovery_auth_method === undefined ? {} : { chapAuthDiscovery: true }),
    secretRef: { name: secretName(name), namespace },
  }
}

/** Keys as kubelet writes them into open-iscsi's records. */
function secret({ connection, namespace }: ManifestInput, name: string) {
  const { discovery_auth_username: finder, discovery_auth_password: findersSecret } = connection
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName(name), namespace },
    type: 'kubernetes.io/iscsi-chap',
    stringData: {
      'node.session.auth.username': connection.auth_username,
      'node.session.auth.password': connection.auth_password,
      ...(finder === undefined || findersSecret === undefined
        ? {}
        : {
            'discovery.sendtargets.auth.username': finder,
            'discovery.sendtargets.auth.password': findersSecret,
          }),
    },
  }
}

const secretName = (name: string): string => `${name}-chap`

/** Our names may have dots and dashes side by side and at the end; RFC 1123 subdomains may not. */
function objectName(volume: string): string {
  return volume.replace(/[.-]{2,}/g, '-').replace(/[.-]+$/, '')
}

function quantity(bytes: number): string {
  const unit = UNITS.find(([, size]) => bytes % size === 0)
  return unit === undefined ? String(bytes) : `${bytes / unit[1]}${unit[0]}`
}
