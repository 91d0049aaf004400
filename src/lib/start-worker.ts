import { Worker, type WorkerOptions } from 'node:worker_threads'

// Node 20 does not hand the loader of TypeScript on to workers, so in the source tree they register it again.
const FROM_SOURCES = `
const { workerData } = require('node:worker_threads')
import('tsx/esm/api').then(tsx => { tsx.register(); return import(workerData.entry) })
`

/** Starts the worker whose module is `name` (without its extension) beside the module `besideUrl`. */
export function startWorker(name: string, besideUrl: string, options: WorkerOptions = {}): Worker {
  if (!besideUrl.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, besideUrl), options)
  const entry = new URL(`./${name}.ts`, besideUrl).href
  return new Worker(FROM_SOURCES, { ...options, eval: true, workerData: { ...options.workerData, entry } })
}
