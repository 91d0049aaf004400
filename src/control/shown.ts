import type { PeerValue, RegistrationValue, TargetValue } from './layout.ts'
import type { BrickStatus } from './ports.ts'
import type { ChapRecord, PeerInfo, TargetRecord } from './records.ts'
import type { ResyncShown } from './resync-view.ts'

const MASKED = '********'

function maskedChap(chap: ChapRecord): ChapRecord {
  return {
    ...chap,
    secret: MASKED,
    ...(chap.mutualSecret === undefined ? {} : { mutualSecret: MASKED }),
  }
}

/** A target as it may be shown to anybody: without secrets. */
export function maskedTarget(iqn: string, target: TargetValue): TargetRecord {
  const chapByInitiator = Object.fromEntries(
    Object.entries(target.chapByInitiator).map(([initiator, chap]) => [initiator, maskedChap(chap)]),
  )
  return { iqn, ...target, chap: target.chap === null ? null : maskedChap(target.chap), chapByInitiator }
}

export interface PeerSurroundings {
  /** Null while the peer is down. */
  readonly registration: RegistrationValue | null
  /** Of the peer that runs here; null for others. */
  readonly brick: BrickStatus | null
  readonly ranges: number
  readonly lastSeenAt: string | null
  readonly resync: ResyncShown | null
}

export function peerInfo(id: string, peer: PeerValue, around: PeerSurroundings): PeerInfo {
  const { registration, brick, ranges, lastSeenAt, resync } = around
  const isUp = registration !== null || brick !== null
  return {
    id,
    number: peer.number,
    addresses: registration?.portals ?? peer.addresses,
    labels: peer.labels,
    state: !isUp ? 'down' : peer.draining === true ? 'draining' : 'up',
    capacityBytes: brick?.capacity.limitBytes ?? peer.capacityBytes ?? 0,
    usedBytes: brick?.capacity.usedBytes ?? registration?.usedBytes ?? 0,
    peerAddress: registration?.peerAddress ?? null,
    brick: registration?.brick ?? null,
    ranges,
    startedAt: registration?.startedAt ?? null,
    lastSeenAt,
    resync,
  }
}
