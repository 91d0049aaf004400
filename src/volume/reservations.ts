/** Placeholder seam, replaced by the SCSI work. */
export interface Reservations {
  permits(client: import('./client-identity.ts').ClientIdentity, access: 'read' | 'write'): boolean
}
