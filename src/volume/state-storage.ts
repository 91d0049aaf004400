export interface StoredState {
  readonly bytes: Buffer
  /** Names what is stored for a later compare-and-set, such as the key's modRevision; 0n: nothing is stored. */
  readonly token: bigint
}

/** Where a part of a volume's state is kept: the metadata store, in production. */
export interface StateStorage {
  load(): Promise<StoredState | null>
  /** Stores `next` only over what `previousToken` names, durably, and answers the new token; otherwise rejects. */
  save(next: Buffer, previousToken: bigint): Promise<bigint>
}
