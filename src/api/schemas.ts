import { z } from 'zod'
import { causes } from '../errors/causes.ts'

/** Shapes of requests and answers: they check both and become the OpenAPI document. */

const bytes = z.number().int().min(0).describe('bytes')
const time = z.string().describe('ISO 8601')
const list = <T extends z.ZodType>(item: T) => z.array(item).readonly()

export const problem = z
  .object({
    type: z.string().describe('urn:holdfast:error:CODE'),
    title: z.string().describe('what this code always means'),
    status: z.number().int(),
    detail: z.string().describe('one sentence for a person, naming the thing at fault'),
    code: z.enum(Object.keys(causes) as [string, ...string[]]),
  })
  .describe('RFC 9457 problem details')

export const nameParameter = z.object({ name: z.string().min(1).max(256) })
export const forceQuery = z.object({
  force: z.stringbool().default(false).describe('also when a session is using it'),
})

const resync = z
  .object({
    done: z.number().nullable().describe('0 to 1; null until it is known what is missing'),
    bytesPerSecond: z.number(),
    etaSeconds: z.number().nullable(),
  })
  .nullable()
  .describe('what is copied there now to bring it up to date; null when nothing is')

const rate = (what: string) => z.number().int().nullable().describe(what)
const volumeLimits = z.object({
  iops: rate('operations a second, of all clients together; null: no limit'),
  iopsBurst: rate('operations that a pause saves up; null: those of one second'),
  bytesPerSecond: rate('read and written; null: no limit'),
  burstBytes: rate('bytes that a pause saves up; null: those of one second'),
})
const limitsChange = z
  .strictObject(volumeLimits.shape)
  .partial()
  .describe('null and 0 take a limit away, and its burst with it')

export const volume = z.object({
  name: z.string(),
  uuid: z.string(),
  sizeBytes: bytes,
  usedBytes: bytes.describe('bytes that hold data'),
  blockSizeBytes: z.union([z.literal(512), z.literal(4096)]),
  replicas: z.number().int(),
  minReplicas: z.number().int(),
  minReplicasWanted: z.number().int().nullable().describe('what M becomes once so many are in sync'),
  readOnly: z.boolean(),
  removable: z.boolean(),
  naa: z.string().describe('NAA-6 designator, 32 hex digits'),
  limits: volumeLimits,
  createdAt: time,
  state: z.enum(['ready', 'deleting']),
  epoch: z.number().int(),
  generation: z.number().int(),
  setVersion: z.number().int(),
  targets: list(z.object({ iqn: z.string(), lun: z.number().int(), readOnly: z.boolean() })),
  nbd: z.string().describe('how NBD clients may use it: off, open, tls or tls:IDENTITY,…'),
  uris: list(z.string()).describe('ready to paste'),
  sessions: z.number().int(),
  replication: z.object({
    owner: z.string().nullable().describe('peer that orders its writes now'),
    health: z.enum(['ok', 'degraded', 'waiting']),
    members: list(
      z.object({
        peer: z.string(),
        state: z.enum(['in sync', 'behind', 'away']),
        ranges: z.number().int(),
        behindRanges: z.number().int(),
        resync,
      }),
    ),
    lossGeneration: z
      .number()
      .int()
      .describe('rises whenever acknowledged writes that were not flushed may be gone'),
  }),
  placement: list(
    z.object({
      firstRange: z.number().int(),
      lastRange: z.number().int(),
      peers: list(z.string()),
      why: z.string(),
    }),
  ).describe('where it lives, in ranges of 4 GiB'),
})

export const newVolume = z.strictObject({
  name: z.string().max(256).describe('[a-z0-9][a-z0-9.-]{0,127}'),
  sizeBytes: z.number(),
  blockSizeBytes: z.union([z.literal(512), z.literal(4096)]).optional(),
  replicas: z.number().int().min(1).max(16).optional(),
  minReplicas: z.number().int().min(1).max(16).optional(),
  readOnly: z.boolean().optional(),
  removable: z.boolean().optional(),
  allowDegraded: z.boolean().optional(),
  limits: limitsChange.optional(),
  target: z.boolean().optional().describe('a target of its own with LUN 0, unless false'),
})

export const volumeChange = z.strictObject({
  readOnly: z.boolean().optional(),
  nbd: z.string().max(65_536).optional().describe('off, open, tls or tls:IDENTITY,…'),
  replicas: z.number().int().min(1).max(16).optional(),
  minReplicas: z.number().int().min(1).max(16).optional(),
  allowDegraded: z.boolean().optional(),
  limits: limitsChange.optional(),
})
export const recovery = z.strictObject({
  off: z.array(z.string().max(128)).min(1).max(16).describe('peers that are off, and stay away'),
})
export const resize = z.strictObject({ sizeBytes: z.number() })

export const job = z.object({
  id: z.string(),
  kind: z.enum(['delete', 'scrub']),
  subject: z.string(),
  doneBytes: bytes,
  totalBytes: bytes,
  state: z.enum(['running', 'done', 'failed']),
  error: z.string().nullable(),
})

const chapShown = z.object({
  user: z.string(),
  mutualUser: z.string().nullable(),
})

export const target = z.object({
  iqn: z.string(),
  luns: list(z.object({ lun: z.number().int(), volume: z.string(), readOnly: z.boolean() })),
  openToAll: z.boolean().describe('until the first ACL entry, or after `all`'),
  acl: list(z.string()).describe('initiator names'),
  chap: chapShown.nullable().describe('secrets are never shown'),
  chapByInitiator: z.record(z.string(), chapShown),
  createdAt: time,
})

export const targetParameter = z.object({
  target: z.string().min(1).max(256).describe('an IQN, or what follows the colon of ours'),
})
export const lunParameter = targetParameter.extend({ lun: z.coerce.number().int().min(0).max(16383) })
export const aclParameter = targetParameter.extend({ initiator: z.string().min(1).max(256) })
export const newTarget = z.strictObject({ target: z.string().min(1).max(256) })
export const newLun = z.strictObject({
  volume: z.string().max(256),
  readOnly: z.boolean().default(false),
})

const secret = z.string().max(1024).describe('12 to 255 bytes')
export const discoveryChap = z.strictObject({
  user: z.string().min(1).max(256),
  secret,
  mutualUser: z.string().min(1).max(256).optional(),
  mutualSecret: secret.optional(),
})
export const targetChap = discoveryChap.extend({
  initiator: z.string().min(1).max(256).optional().describe('only for this initiator'),
})
export const chapOwner = z.object({ initiator: z.string().min(1).max(256).optional() })

const iscsiName = z.string().min(1).max(256).describe('iSCSI name of the initiator')
export const newConnection = z.strictObject({ initiator: iscsiName })
export const connectionParameter = nameParameter.extend({ initiator: iscsiName })
export const connection = z
  .object({
    target_discovered: z.literal(false),
    target_portal: z.string(),
    target_iqn: z.string(),
    target_lun: z.number().int(),
    target_portals: list(z.string()).describe('with target_iqns and target_luns: one entry per path'),
    target_iqns: list(z.string()),
    target_luns: list(z.number().int()),
    volume_id: z.string().describe('UUID of the volume'),
    auth_method: z.literal('CHAP'),
    auth_username: z.string(),
    auth_password: z.string(),
    discovery_auth_method: z.literal('CHAP').optional().describe('where discovery demands CHAP'),
    discovery_auth_username: z.string().optional(),
    discovery_auth_password: z.string().optional(),
    discard: z.literal(true),
    access_mode: z.enum(['rw', 'ro']),
  })
  .describe("Cinder's connection properties, as os-brick takes them")

export const session = z.object({
  /** With the peer's name, like `iscsi-3@peer-a`. */
  id: z.string(),
  peer: z.string(),
  protocol: z.enum(['iscsi', 'nbd']),
  kind: z.enum(['normal', 'discovery']),
  initiator: z.string(),
  isid: z.string().nullable(),
  target: z.string().nullable(),
  portal: z.string(),
  remoteAddress: z.string(),
  connectedAt: time,
  commandsInFlight: z.number().int(),
  readBytes: bytes,
  writtenBytes: bytes,
  headerDigest: z.boolean(),
  dataDigest: z.boolean(),
})

export const peer = z.object({
  id: z.string(),
  number: z.number().int(),
  addresses: list(z.string()).describe('iSCSI portals'),
  labels: z.record(z.string(), z.string()),
  state: z.enum(['up', 'down', 'draining']),
  capacityBytes: bytes,
  usedBytes: bytes.describe('0 while it is down'),
  peerAddress: z.string().nullable().describe('where other daemons reach it'),
  brick: z.string().nullable(),
  ranges: z.number().int().describe('of 4 GiB, placed there'),
  startedAt: time.nullable(),
  lastSeenAt: time.nullable(),
  resync,
})

export const event = z.object({ at: time, kind: z.string(), subject: z.string(), message: z.string() })
export const eventsQuery = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) })

export const scrub = z.object({
  state: z.enum(['never', 'running', 'ended']),
  checkedBytes: bytes,
  totalBytes: bytes,
  badBlocks: z.number().int(),
  settledBlocks: z.number().int().describe('in doubt after an unclean stop, checksum recomputed'),
  startedAt: time.nullable(),
  endedAt: time.nullable(),
})
export const scrubStart = z.strictObject({ bytesPerSecond: z.number().int().min(4096).optional() })

const listener = z.object({ address: z.string(), advertised: z.string().nullable() })

export const status = z.object({
  version: z.string(),
  state: z.enum(['serving', 'stopping', 'failed']),
  startedAt: time,
  clusterId: z.string(),
  peer: z.string(),
  portals: list(listener).describe('iSCSI'),
  nbd: list(listener),
  volumes: z.number().int(),
  sessions: z.number().int(),
  brick: z.object({
    state: z.enum(['warm', 'cold']),
    failure: z.string().nullable(),
    limitBytes: bytes,
    usedBytes: bytes,
    warnAtBytes: bytes,
    dirtyBytes: bytes,
    dirtyCapBytes: bytes,
  }),
  cluster: z.object({
    peers: z.number().int(),
    peersUp: z.number().int(),
    volumes: z.object({ ok: z.number().int(), degraded: z.number().int(), waiting: z.number().int() }),
    balanced: z.boolean(),
    rangesToMove: z.number().int(),
    metadata: z.enum(['current', 'unreachable']),
  }),
  residentBytes: bytes,
})

export const finding = z.object({
  check: z.string(),
  state: z.enum(['ok', 'warning', 'failure']),
  says: z.string(),
})

export const imported = z.object({
  imageBytes: bytes,
  dataBytes: bytes.describe('written; the rest of the volume reads as zeroes'),
})
