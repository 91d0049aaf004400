import { parentPort, workerData } from 'node:worker_threads'
import { openEtcdStore } from '../metadata/etcd/etcd-store.ts'
import { LEASE_TTL_SECONDS } from './heartbeat.ts'
import type { HeartbeatMessage, HeartbeatWork } from './heartbeat-thread.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { ProgressMark } from './progress.ts'

const { etcd, progress } = workerData as HeartbeatWork
const port = parentPort!
const mark = new ProgressMark(progress)
const store = openEtcdStore(etcd)
const say = (message: HeartbeatMessage) => port.postMessage(message)

const keeper = new LeaseKeeper({
  store,
  ttlSeconds: LEASE_TTL_SECONDS,
  isWell: () => mark.isFresh(),
  changed: lease => say({ lease }),
  failed: error => say({ failed: error instanceof Error ? error.message : String(error) }),
})
port.once('message', () => {
  keeper[Symbol.dispose]()
  void store[Symbol.asyncDispose]().then(() => process.exit(0))
})
