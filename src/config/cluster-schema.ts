import { z } from 'zod'
import { field } from './field.ts'
import { duration, flag, hostPort, httpUrl, peerName, size } from './value-types.ts'

export const PEER_TLS_MODES = ['off', 'required'] as const
const HOUR = 3_600_000
const MiB = 2 ** 20

export const peer = z.strictObject({
  listen: field(hostPort().default({ host: '127.0.0.1', port: 9281 }), {
    value: 'HOST:PORT',
    unit: 'address',
    reason: 'Where the other daemons of the cluster reach this one. Used with etcd only.',
  }),
  tls: field(z.enum(PEER_TLS_MODES).default('off'), {
    value: 'MODE',
    unit: PEER_TLS_MODES.join(', '),
    reason: 'Mutual TLS between daemons, with tls-dir: whoever has a certificate of its ca.pem is a peer.',
  }),
  allowPlain: field(flag().default(false), {
    value: 'on|off',
    unit: 'switch',
    reason:
      'Speak to other daemons without TLS on addresses that others reach: who does can write any brick.',
  }),
  name: field(peerName().nullable().default(null), {
    value: 'NAME',
    unit: 'name',
    reason:
      'What this peer is called in the cluster, for good. cluster join needs it; serve reads it from the data directory.',
  }),
})

export const etcd = z.strictObject({
  urls: field(z.array(httpUrl()).max(16).default([]), {
    value: 'URL',
    unit: 'URL',
    reason: 'Members of the etcd cluster that holds the metadata; without any it is in the data directory.',
    repeatable: 'list',
  }),
  tls: field(z.string().min(1).nullable().default(null), {
    value: 'DIR',
    unit: 'directory',
    reason: 'Holds ca.pem, and cert.pem and key.pem where etcd asks for certificates; for https URLs.',
  }),
  user: field(z.string().min(1).nullable().default(null), {
    value: 'NAME',
    unit: 'text',
    reason: 'User of etcd, where its authentication is on. Certificates survive more than passwords do.',
  }),
  password: field(z.string().min(1).nullable().default(null), {
    value: 'TEXT',
    unit: 'text',
    reason: 'Password of etcd.user. Not a flag: others can read those.',
    secret: true,
  }),
  passwordFile: field(z.string().min(1).nullable().default(null), {
    value: 'FILE',
    unit: 'file',
    reason: 'File whose first line is the password; instead of etcd.password.',
  }),
  prefix: field(
    z
      .string()
      .regex(/^[!-~]+\/$/, { error: 'must be ASCII without spaces that ends with a slash' })
      .default('holdfast/'),
    {
      value: 'TEXT',
      unit: 'text that ends with a slash',
      reason: 'What every key begins with, for an etcd that others use too.',
    },
  ),
})

export const replication = z.strictObject({
  resyncBandwidth: field(size(MiB).default(256 * MiB), {
    value: 'SIZE',
    unit: 'bytes per second',
    reason:
      'What bringing bricks up to date and moving ranges may copy at most, over all volumes owned here.',
  }),
  ejectAfter: field(duration(100, HOUR).default(1_000), {
    value: 'DURATION',
    unit: 'duration',
    reason:
      'A replica that answers no operation, or no connection, for this long leaves its in-sync sets. Writes wait as long.',
  }),
  coldWait: field(duration(0, HOUR).default(60_000), {
    value: 'DURATION',
    unit: 'duration',
    reason:
      'Where only bricks answer that lost power, so long is waited for one that did not, before they are believed.',
  }),
  etcdGrace: field(duration(1_000, 24 * HOUR).default(900_000), {
    value: 'DURATION',
    unit: 'duration',
    reason: 'How long a volume is served without etcd. Long enough to mend it, short enough to notice.',
  }),
})
