/** The brick as replication sees it: the seam belongs to the store, which knows nothing of replication. */
export type { RegionDigest, ReplicaDescriptor, ReplicaStore, ReplicaVolume } from '../store/replica-store.ts'
