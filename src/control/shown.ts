import type { PeerValue, TargetValue } from './layout.ts'
import type { BrickStatus } from './ports.ts'
import type { ChapRecord, PeerInfo, TargetRecord } from './records.ts'

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

/** `brick` is that of the peer itself; nothing is known here of the others'. */
export function peerInfo(id: string, peer: PeerValue, brick: BrickStatus | null): PeerInfo {
  return {
    id,
    ...peer,
    state: brick === null ? 'down' : 'up',
    capacityBytes: brick?.capacity.limitBytes ?? 0,
    usedBytes: brick?.capacity.usedBytes ?? 0,
  }
}
