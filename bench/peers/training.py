"""The training loop of the step workloads: gather a batch, forward, loss, backward, optimizer; the loss read every 100."""

LOG_EVERY = 100


def trainer(model, criterion, optimizer, take):
    """A function that runs steps and returns the last loss it read."""
    done = 0
    last = None

    def run(steps):
        nonlocal done, last
        for _ in range(steps):
            x, y = take()
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done % LOG_EVERY == 0:
                last = loss.item()
        return last

    return run
