import { expect, it, onTestFinished, vi } from 'vitest'
import { LeaseRecovery } from '../../dist/routing/lease-recovery.js'
import type { Lent } from '../../dist/routing/target.js'
import type { SessionState } from '../../dist/server/port.js'

// When a connection is examined, and what becomes of it. On a real network: silent-network.test.ts and with.test.ts.

/** A lease as far as it is looked at, and the times that its connection was examined, cut or taken back. */
function lease(state: { isAwaited: boolean; isOver?: boolean }) {
  const connection = { traffic: 0, isAwaited: state.isAwaited, cut: vi.fn<() => void>() }
  const asking = { scope: { isOver: state.isOver ?? false }, takeBack: vi.fn<() => void>() }
  const lent = { connection, asking, since: -1_000 }
  return { connection, asking, lent: lent as unknown as Lent }
}

/** Looks at leases every half second, on a clock that the test moves; connections are examined after two seconds. */
function recover(leases: readonly Lent[], found: () => SessionState = () => 'busy') {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const examine = vi.fn<(lent: Lent) => Promise<SessionState>>(async () => found())
  const recovery = new LeaseRecovery([{ lent: leases, examine }], 2_000)
  onTestFinished(() => {
    recovery.close()
    vi.useRealTimers()
  })
  return { examine, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

it('takes back what stands still once its work is over, and nothing before', async () => {
  const [over, going] = [lease({ isAwaited: false, isOver: true }), lease({ isAwaited: false })]
  const { pass } = recover([over.lent, going.lent])
  await pass(500)
  expect(over.asking.takeBack).not.toHaveBeenCalled()
  over.connection.traffic++
  await pass(500)
  expect(over.asking.takeBack).not.toHaveBeenCalled()
  await pass(500)
  expect(over.asking.takeBack).toHaveBeenCalled()
  await pass(10_000)
  expect(going.asking.takeBack).not.toHaveBeenCalled()
})

it('examines a connection again after each silence, and leaves it alone while the server is at work', async () => {
  const { connection, lent } = lease({ isAwaited: true })
  const { examine, pass } = recover([lent])
  await pass(2_000)
  expect(examine).not.toHaveBeenCalled()
  await pass(500)
  expect(examine).toHaveBeenCalledTimes(1)
  await pass(2_000)
  expect(examine).toHaveBeenCalledTimes(2)
  connection.traffic++
  await pass(2_000)
  expect(examine).toHaveBeenCalledTimes(2)
  expect(connection.cut).not.toHaveBeenCalled()
})

it('hangs up where the server is twice not at work on what it owes: the first time its answer may be on its way', async () => {
  const { connection, lent } = lease({ isAwaited: true })
  const { examine, pass } = recover([lent], () => 'idle')
  await pass(2_500)
  expect(examine).toHaveBeenCalledTimes(1)
  expect(connection.cut).not.toHaveBeenCalled()
  await pass(500)
  expect(connection.cut).toHaveBeenCalledTimes(1)
})

it('hangs up on all that are silent where nobody answers, and on no other', async () => {
  const silent = [lease({ isAwaited: true }), lease({ isAwaited: true })]
  const [answered, standing] = [lease({ isAwaited: true }), lease({ isAwaited: false })]
  const { examine, pass } = recover(
    [...silent, answered, standing].map(({ lent }) => lent),
    () => 'unreachable',
  )
  await pass(1_000)
  answered.connection.traffic++
  await pass(1_500)
  expect(examine).toHaveBeenCalledTimes(1)
  for (const { connection } of silent) expect(connection.cut).toHaveBeenCalledTimes(1)
  for (const { connection } of [answered, standing]) expect(connection.cut).not.toHaveBeenCalled()
})
