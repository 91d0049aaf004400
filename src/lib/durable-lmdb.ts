/** How every LMDB of ours is opened, apart from where it lies and what it holds. */
export const DURABLE_LMDB = {
  // A commit resolves only once it is on the disk.
  overlappingSync: false,
  // Otherwise lmdb rejects a promise that nobody has when a commit fails, which ends the process.
  eventTurnBatching: false,
} as const

/**
 * What `write` resolves with. LMDB never writes over what is referenced, so after a rejection everything is as
 * it was. Rejects with LMDB's own reason, which lmdb hides in a promise that would go unhandled: `code` is an
 * errno, and EIO may be a full disk that took a part of a write.
 */
export async function committed<T>(write: Promise<T>): Promise<T> {
  try {
    return await write
  } catch (error) {
    await (error as { commitError?: Promise<never> }).commitError
    throw error
  }
}
