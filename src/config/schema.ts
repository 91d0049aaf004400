import { z } from 'zod'
import { etcd, peer, replication } from './cluster-schema.ts'
import { field } from './field.ts'
import { count, duration, flag, hostPort, pairs, size } from './value-types.ts'

export const CHAP_ALGORITHMS = ['SHA3-256', 'SHA-256', 'SHA1', 'MD5'] as const
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const

const HOUR = 3_600_000
const MiB = 2 ** 20

const listeners = z.strictObject({
  listen: field(
    z
      .array(hostPort())
      .min(1)
      .max(64)
      .default([{ host: '127.0.0.1', port: 3260 }]),
    {
      value: 'HOST:PORT',
      unit: 'address',
      reason:
        'Where iSCSI is served; once per portal. Loopback, because nothing is protected before CHAP is set.',
      repeatable: 'list',
    },
  ),
})

export const NBD_TLS_MODES = ['off', 'optional', 'required'] as const

const nbd = z.strictObject({
  listen: field(
    z
      .array(hostPort())
      .min(1)
      .max(64)
      .default([{ host: '127.0.0.1', port: 10809 }]),
    {
      value: 'HOST:PORT',
      unit: 'address',
      reason: 'Where NBD is served. Loopback, because plain NBD has no passwords.',
      repeatable: 'list',
    },
  ),
  unix: field(z.string().min(1).max(100).nullable().default(null), {
    value: 'PATH',
    unit: 'path',
    reason: "A Unix socket where NBD is served as well, to the daemon's user and its group.",
  }),
  tls: field(z.enum(NBD_TLS_MODES).default('off'), {
    value: 'MODE',
    unit: NBD_TLS_MODES.join(', '),
    reason: 'TLS for NBD, with tls-dir, nbd-psk-file or both. Required: nothing is told before it is up.',
  }),
  pskFile: field(z.string().min(1).nullable().default(null), {
    value: 'FILE',
    unit: 'file',
    reason: 'Pre-shared keys for NBD over TLS, one IDENTITY:HEXKEY per line as gnutls psktool writes them.',
  }),
  allowPlain: field(flag().default(false), {
    value: 'on|off',
    unit: 'switch',
    reason:
      'Serve NBD without TLS on addresses that others reach: whoever does can read and write open volumes.',
  }),
  defaultExport: field(z.string().min(1).max(128).nullable().default(null), {
    value: 'VOLUME',
    unit: 'volume name',
    reason:
      'The volume that a client gets who names no export. None by default: a client says what it wants.',
  }),
  resize: field(flag().default(false), {
    value: 'on|off',
    unit: 'switch',
    reason:
      'NBD clients may grow volumes whose NBD access says +resize. Off by default: few clients know that they could.',
  }),
})

const api = z.strictObject({
  listen: field(hostPort().default({ host: '127.0.0.1', port: 9280 }), {
    value: 'HOST:PORT',
    unit: 'address',
    reason:
      'Where the REST API, its documentation and the metrics are. Other addresses than loopback need api.tls and a token.',
  }),
  tls: field(z.string().min(1).nullable().default(null), {
    value: 'DIR',
    unit: 'directory',
    reason: 'Holds cert.pem and key.pem for HTTPS. Off by default: loopback needs none.',
  }),
  token: field(z.string().min(16).max(1024).nullable().default(null), {
    value: 'TEXT',
    unit: 'text',
    reason:
      'Bearer token that every request must carry, at least 16 characters. Not a flag: others can read those.',
    secret: true,
  }),
  tokenFile: field(z.string().min(1).nullable().default(null), {
    value: 'FILE',
    unit: 'file',
    reason: 'File whose first line is the bearer token; instead of api.token.',
  }),
})

const chap = z.strictObject({
  algorithms: field(
    z
      .array(z.enum(CHAP_ALGORITHMS))
      .min(1)
      .default([...CHAP_ALGORITHMS]),
    {
      value: 'NAME',
      unit: 'digest name',
      reason:
        'Digests that a login may use; the strongest that the initiator offers wins. MD5 is the only one of RFC 7143, and what many initiators offer alone.',
      repeatable: 'list',
    },
  ),
})

const limits = z.strictObject({
  connections: field(count(1, 65_536).default(1024), {
    value: 'COUNT',
    unit: 'connections',
    reason:
      'Open connections of each protocol, logins included; the next one is closed. Bounds the memory of buffers.',
  }),
  sessions: field(count(1, 65_536).default(512), {
    value: 'COUNT',
    unit: 'sessions',
    reason: 'Logged-in iSCSI sessions; the next login is told that resources are lacking.',
  }),
  loginTime: field(duration(100, HOUR).default(15_000), {
    value: 'DURATION',
    unit: 'duration',
    reason:
      'From the connection to the end of its login. Slow initiators need two seconds, idle sockets never end.',
  }),
  commandsPerSession: field(count(1, 1024).default(128), {
    value: 'COUNT',
    unit: 'commands',
    reason: "Width of a session's command window (MaxCmdSN); more only adds latency.",
  }),
  bytesInFlight: field(size(MiB, 2 ** 32).default(4 * MiB), {
    value: 'SIZE',
    unit: 'bytes per session',
    reason:
      'Answers that wait to be sent; above it the session is not read. A client that never reads costs this much.',
  }),
  nopInterval: field(duration(0, HOUR).default(15_000), {
    value: 'DURATION',
    unit: 'duration',
    reason: 'A session that was silent for this long is pinged; 0 turns pings off.',
  }),
  nopTimeout: field(duration(100, HOUR).default(15_000), {
    value: 'DURATION',
    unit: 'duration',
    reason: 'A ping unanswered for this long ends the session, so that dead initiators hold nothing.',
  }),
  stopGrace: field(duration(0, 600_000).default(5_000), {
    value: 'DURATION',
    unit: 'duration',
    reason: 'From asking initiators to log out, at a stop, to closing what is still open.',
  }),
})

const store = z.strictObject({
  dirtyCap: field(
    size(16 * MiB)
      .nullable()
      .default(null),
    {
      value: 'SIZE',
      unit: 'bytes',
      reason: 'Written but not yet on disk, over all volumes; above it writes wait.',
      defaultText: 'half of what the kernel lets be dirty before it slows writers down, at start',
    },
  ),
  checksumCache: field(size(MiB).default(32 * MiB), {
    value: 'SIZE',
    unit: 'bytes',
    reason:
      'Checksums kept in memory; 1 MiB covers 1 GiB of data. The default keeps the daemon small and 32 GiB hot.',
  }),
  sanitizeBandwidth: field(size(MiB).default(256 * MiB), {
    value: 'SIZE',
    unit: 'bytes per second',
    reason: 'What SANITIZE with OVERWRITE writes at most to one volume, so that the others go on meanwhile.',
  }),
  scrubBandwidth: field(size(MiB).default(64 * MiB), {
    value: 'SIZE',
    unit: 'bytes per second',
    reason: 'What a scrub reads at most. Low enough to leave a disk to its clients.',
  }),
  scrubInterval: field(duration(0, 366 * 24 * HOUR).default(7 * 24 * HOUR), {
    value: 'DURATION',
    unit: 'duration',
    reason:
      'From the end of a scrub to the next; 0 turns them off. A week finds rot before the second copy rots.',
  }),
})

const scsi = z.strictObject({
  vendor: field(
    z
      .string()
      .regex(/^[ -~]{1,8}$/, { error: 'must be 1 to 8 characters of ASCII' })
      .default('HOLDFAST'),
    {
      value: 'TEXT',
      unit: 'ASCII, 8 characters at most',
      reason: 'Vendor in INQUIRY (SPC-5 T10 VENDOR IDENTIFICATION).',
    },
  ),
  product: field(
    z
      .string()
      .regex(/^[ -~]{1,16}$/, { error: 'must be 1 to 16 characters of ASCII' })
      .default('VOLUME'),
    {
      value: 'TEXT',
      unit: 'ASCII, 16 characters at most',
      reason: 'Product in INQUIRY (SPC-5 PRODUCT IDENTIFICATION).',
    },
  ),
  companyId: field(
    z
      .string()
      .regex(/^[0-9a-fA-F]{6}$/, { error: 'must be six hex digits' })
      .default('02484F'),
    {
      value: 'HEX',
      unit: 'six hex digits',
      reason:
        'First part of the NAA of new volumes. We own none: the default is locally administered. Existing volumes keep theirs.',
    },
  ),
  reportNexusLoss: field(flag().default(false), {
    value: 'on|off',
    unit: 'switch',
    reason: 'Raise I_T NEXUS LOSS OCCURRED at a new login. Off: hosts turn it into spurious I/O errors.',
  }),
})

const log = z.strictObject({
  level: field(z.enum(LOG_LEVELS).default('info'), {
    value: 'LEVEL',
    unit: LOG_LEVELS.join(', '),
    reason: 'The least severe that is written to standard error. Nothing at info is per operation.',
  }),
  format: field(z.enum(['auto', 'json', 'text']).default('auto'), {
    value: 'FORMAT',
    unit: 'auto, json or text',
    reason: 'How log lines look; auto is text on a terminal and JSON elsewhere.',
  }),
})

/** Everything that can be configured. Decoded, sizes are bytes and durations milliseconds. */
export const configSchema = z.strictObject({
  data: field(z.string().min(1).default('./data'), {
    value: 'DIR',
    unit: 'directory',
    reason: 'Holds the brick, and the metadata where there is no etcd; locked while a daemon runs.',
  }),
  iscsi: listeners.prefault({}),
  advertiseIscsi: field(z.array(hostPort()).max(64).default([]), {
    value: 'HOST:PORT',
    unit: 'address',
    reason:
      'What discovery answers instead of the listening address, the n-th for the n-th portal: for hosts behind a translation.',
    repeatable: 'list',
  }),
  nbd: nbd.prefault({}),
  advertiseNbd: field(z.array(hostPort()).max(64).default([]), {
    value: 'HOST:PORT',
    unit: 'address',
    reason: 'What NBD URIs show instead of the listening address, the n-th for the n-th listener.',
    repeatable: 'list',
  }),
  tlsDir: field(z.string().min(1).nullable().default(null), {
    value: 'DIR',
    unit: 'directory',
    reason:
      'Holds ca.pem, cert.pem and key.pem for NBD over TLS and between peers; ca.pem signs the certificates of clients.',
  }),
  api: api.prefault({}),
  peer: peer.prefault({}),
  advertisePeer: field(hostPort().nullable().default(null), {
    value: 'HOST:PORT',
    unit: 'address',
    reason: 'What other daemons dial instead of the listening address; needed where that is a wildcard.',
  }),
  etcd: etcd.prefault({}),
  capacity: field(
    size(64 * MiB)
      .nullable()
      .default(null),
    {
      value: 'SIZE',
      unit: 'bytes',
      reason: 'What the brick may use at most.',
      defaultText: 'the size of its file system',
    },
  ),
  label: field(pairs().default({}), {
    value: 'KEY=VALUE',
    unit: 'pair',
    reason: 'Where this peer stands; zone, rack and host are known and make failure domains.',
    repeatable: 'pairs',
  }),
  chap: chap.prefault({}),
  limits: limits.prefault({}),
  store: store.prefault({}),
  replication: replication.prefault({}),
  scsi: scsi.prefault({}),
  log: log.prefault({}),
})

export type Config = z.output<typeof configSchema>
