/** An I_T nexus as SCSI sees it: who is asking, through which target port. SAM-5 §4.7. */
export interface Nexus {
  /** Unique while the daemon runs. */
  readonly id: number
  /** iSCSI: the initiator's name; with `isid` the SCSI initiator port (RFC 7143 §4.2.7.2: name,i,0x…). */
  readonly initiatorName: string
  /** Twelve lower-case hex digits. */
  readonly isid: string
  readonly targetPortalGroupTag: number
  /** What its initiator proved at login: alike where it is the same secret of the same user. Null: nothing was asked. */
  readonly proof: string | null
}
