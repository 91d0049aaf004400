/** Who a request is from, whichever gateway and protocol it came by. Reservations are held by identities. */
export type ClientIdentity =
  | {
      readonly protocol: 'iscsi'
      readonly initiatorName: string
      /** Twelve lower-case hex digits. */
      readonly isid: string
      readonly targetPortalGroupTag: number
    }
  | { readonly protocol: 'nbd'; readonly name: string }
  /** The daemon itself, for import, export and the like: stands outside reservations. */
  | { readonly protocol: 'internal' }
