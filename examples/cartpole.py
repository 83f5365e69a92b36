"""Reinforcement learning: REINFORCE with a learned baseline, in a plain GradientTape loop.

The task is gymnasium's CartPole-v1 (`pip install 'weft[examples]'`): a reward of 1 for each step
that the pole stays up, 500 at most. Nothing is decorated. An episode's length differs each time,
and an array of another shape is another program: episodes are therefore padded to the next of a
few lengths, and a mask leaves the padding out of the means, so that a few programs serve all.

Checked: the mean return of the last 50 episodes reaches 150. The exit status is 1 if it does not.

Williams, Simple statistical gradient-following algorithms for connectionist reinforcement learning
(1992), with a baseline (section 5) and standardised advantages.
"""

import argparse
import sys
import time
from collections import deque

import numpy as np

import weft
from weft import tf

try:
    import gymnasium
except ImportError:
    sys.exit("examples/cartpole.py needs gymnasium: pip install 'weft[examples]' (or gymnasium).")

GOAL = 150
WINDOW = 50
EPISODES = 1000
DISCOUNT = 0.99
LENGTHS = (32, 64, 128, 256, 512)  # episodes are padded to the next of these


class Policy(tf.keras.Model):
    """Logits of the two actions, and the return expected from a state (the baseline)."""

    def __init__(self):
        super().__init__()
        self.hidden = tf.keras.layers.Dense(64, activation="tanh")
        self.actions = tf.keras.layers.Dense(2)
        self.critic_hidden = tf.keras.layers.Dense(64, activation="tanh")
        self.value = tf.keras.layers.Dense(1)

    def call(self, states):
        values = self.value(self.critic_hidden(states))
        return self.actions(self.hidden(states)), tf.squeeze(values, axis=-1)


def play(environment, policy, rng, seed):
    """One episode: its states, actions and rewards."""
    states, actions, rewards = [], [], []
    state, _ = environment.reset(seed=seed)
    over = False
    while not over:
        logits = policy(state[None])[0].numpy()[0]
        odds = np.exp(logits[1] - logits[0])
        action = int(rng.random() < odds / (1 + odds))
        states.append(state)
        actions.append(action)
        state, reward, ended, cut_short, _ = environment.step(action)
        rewards.append(reward)
        over = ended or cut_short
    return np.array(states), np.array(actions), np.array(rewards, "float32")


def discounted(rewards):
    """The return from each step on."""
    returns, total = np.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        returns[t] = total = rewards[t] + DISCOUNT * total
    return returns


def padded(target, *arrays):
    """The arrays with zeros behind up to a length, and a mask of what is real."""
    length = len(arrays[0])
    rows = (0, target - length)
    mask = (np.arange(target) < length).astype("float32")
    return *(np.pad(a, [rows] + [(0, 0)] * (a.ndim - 1)) for a in arrays), mask


def masked_mean(values, mask):
    return tf.reduce_sum(values * mask) / tf.reduce_sum(mask)


def learn(policy, optimizer, states, actions, returns, mask):
    """One step on an episode: one program for each padded length."""
    with tf.GradientTape() as tape:
        logits, values = policy(states, training=True)
        advantages = tf.stop_gradient(returns - values)
        mean = masked_mean(advantages, mask)
        spread = tf.sqrt(masked_mean(tf.square(advantages - mean), mask))
        advantages = (advantages - mean) / (spread + 1e-3)
        surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=actions, logits=logits)
        actor = masked_mean(surprise * advantages, mask)
        critic = masked_mean(tf.square((returns - values) / 50), mask)
        loss = actor + critic
    gradients = tape.gradient(loss, policy.trainable_variables)
    optimizer.apply_gradients(zip(gradients, policy.trainable_variables))
    return loss


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few episodes, nothing checked")
    parser.add_argument("--unpadded", action="store_true", help="episodes as long as they are")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)

    tf.random.set_seed(given.seed)
    rng = np.random.default_rng(given.seed)
    environment = gymnasium.make("CartPole-v1")
    policy = Policy()
    optimizer = tf.keras.optimizers.Adam(5e-3)
    recent = deque(maxlen=WINDOW)
    began, steps, learning = time.perf_counter(), 0, 0.0
    compiled = weft.config.compile_count()

    for episode in range(1, 1 + (5 if given.quick else EPISODES)):
        seed = given.seed if episode == 1 else None
        states, actions, rewards = play(environment, policy, rng, seed)
        start = time.perf_counter()
        length = len(rewards)
        if not given.unpadded:
            length = next(n for n in LENGTHS if n >= length)
        learn(policy, optimizer, *padded(length, states, actions, discounted(rewards)))
        learning += time.perf_counter() - start
        steps += len(rewards)
        recent.append(rewards.sum())
        if episode % 25 == 0:
            print(f"episode {episode:4d}  steps {steps:6d}  mean return {np.mean(recent):6.1f}")
        if len(recent) == WINDOW and np.mean(recent) >= GOAL:
            break

    seconds = time.perf_counter() - began
    print(
        f"{episode} episodes of {steps} steps in {seconds:.1f} s; to learn from one took "
        f"{1e3 * learning / episode:.1f} ms; "
        f"{weft.config.compile_count() - compiled} programs were compiled"
    )
    mean = float(np.mean(recent))
    reached = mean >= GOAL
    print(f"mean return of the last {len(recent)} episodes: {mean:.1f} (goal {GOAL})")
    if given.quick:
        return 0
    if not reached:
        print(f"The goal of {GOAL} was missed.")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
