/** Bounds of the way from a gateway to a volume's owner, by name. */
export interface GatewayLimits {
  /** An operation that finds no owner, or none that answers, waits for so long. Below the timeouts of initiators. */
  readonly ownerWaitMs: number
  /** After a takeover gateways name their live clients within this. PROTOCOL rule 17. */
  readonly resumeWindowMs: number
  /** After that, what is in doubt is repeated within this; who does not make it has lost its stream. */
  readonly settleMs: number
}

export const defaultGatewayLimits: GatewayLimits = {
  ownerWaitMs: 25_000,
  resumeWindowMs: 500,
  settleMs: 2_000,
}

/** Results of one stream that the owner remembers for a gateway whose connection broke. */
export const RESULTS_PER_STREAM_MAX = 4096
/** Streams that one volume's owner numbers, dead ones not counted. */
export const STREAMS_PER_VOLUME_MAX = 4096
/** Clients that one gateway opens at one owner and volume. */
export const CLIENTS_PER_GATEWAY_MAX = 65_536
/** Runs in one answer to a question for extents; the gateway asks again for the rest. */
export const EXTENTS_PER_ANSWER_MAX = 16_384
/** How often waiting operations are looked at. */
export const LOOK_MS = 1_000
/** Between two attempts at an owner that refuses. */
export const TRY_AGAIN_MS = 100
/** A gateway that asks before the volume is served is answered as soon as it is, or refused after this. */
export const ATTACH_WAIT_MS = 1_000
/** How long an owner tries to tell a gateway something. */
export const TELL_MS = 5_000
