import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../lib/start-worker.ts'
import type { FileTask, FileThread } from './file-task.ts'

interface Waiting {
  resolve(result: number): void
  reject(error: Error): void
}

/** A thread allocates next to nothing once it is loaded; V8 would give it a young heap of 3 MB and more. */
const SMALL_HEAP = { maxYoungGenerationSizeMb: 1 }

/**
 * Starts the worker with its first task, so that an idle brick has no threads. A worker is 9 MB: one that had
 * nothing to do for `idleMsMax` is ended, and started again (in some 40 ms) by the next task.
 */
export function startFileThread(idleMsMax = Number.POSITIVE_INFINITY): FileThread {
  const waiting: Waiting[] = []
  let worker: Worker | null = null
  let death: Error | null = null
  let idle: NodeJS.Timeout | undefined

  function die(error: Error): void {
    death ??= error
    for (const { reject } of waiting.splice(0)) reject(death)
  }

  function start(): Worker {
    const started = startWorker('file-thread-worker', import.meta.url, { resourceLimits: SMALL_HEAP })
    started.on('message', (result: number) => waiting.shift()?.resolve(result))
    started.on('error', error => die(error instanceof Error ? error : new Error(String(error))))
    started.on('exit', code => {
      if (worker === started) die(new Error(`a file thread ended with code ${code}`))
    })
    return started
  }

  function end(): Promise<unknown> | undefined {
    const ended = worker
    worker = null
    return ended?.terminate()
  }

  function becameIdle(): void {
    worker?.unref()
    if (idleMsMax < Number.POSITIVE_INFINITY) idle = setTimeout(end, idleMsMax).unref()
  }

  return {
    run(task: FileTask): Promise<number> {
      if (death !== null) return Promise.reject(death)
      clearTimeout(idle)
      worker ??= start()
      worker.ref()
      worker.postMessage(task)
      return new Promise<number>((resolve, reject) => waiting.push({ resolve, reject })).finally(() => {
        if (waiting.length === 0) becameIdle()
      })
    },
    async close(): Promise<void> {
      death ??= new Error('the file thread is closed')
      clearTimeout(idle)
      await end()
      for (const { reject } of waiting.splice(0)) reject(death)
    },
  }
}
