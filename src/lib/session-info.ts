/** A session of any protocol, as it is shown: plain data. */
export interface SessionInfo {
  readonly id: string
  readonly protocol: 'iscsi' | 'nbd'
  readonly kind: 'normal' | 'discovery'
  readonly initiator: string
  readonly isid: string | null
  readonly target: string | null
  readonly portal: string
  readonly remoteAddress: string
  readonly connectedAt: string
  readonly commandsInFlight: number
  readonly readBytes: number
  readonly writtenBytes: number
  readonly headerDigest: boolean
  readonly dataDigest: boolean
}
