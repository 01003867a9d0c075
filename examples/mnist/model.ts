/**
 * The PyTorch MNIST tutorial: a multilayer perceptron 784-128-10 on handwritten digits, cross-entropy, Adam.
 * `kiln compile examples/mnist`, then `node build/mnist/trainer.js`.
 */
import { nn, optim, defineTraining, type Tensor } from "kilnjs";
import { DataLoader, mnist, transforms } from "kilnjs/data";

class Net extends nn.Module {
  fc1 = new nn.Linear(28 * 28, 128);
  fc2 = new nn.Linear(128, 10);

  /** `x`: `[batch, 1, 28, 28]`; gives logits `[batch, 10]`. */
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.fc1.forward(x.flatten(1)).relu());
  }
}

export default defineTraining({
  seed: 0,
  epochs: 10,
  data: () => ({
    train: new DataLoader(mnist({ split: "train", transform: transforms.toTensor() }), {
      batchSize: 64,
      shuffle: true,
    }),
    test: new DataLoader(mnist({ split: "test", transform: transforms.toTensor() }), { batchSize: 64 }),
  }),
  setup() {
    const model = new Net();
    const criterion = new nn.CrossEntropyLoss();
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 });
    return { model, criterion, optimizer };
  },
  trainStep({ model, criterion, optimizer }, [images, labels]) {
    const loss = criterion.forward(model.forward(images), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };
  },
  evalStep({ model }, [images, labels]) {
    return { correct: model.forward(images).argmax(1).eq(labels).sum() };
  },
  predictStep({ model }, [images]) {
    const logits = model.forward(images);
    return { digit: logits.argmax(1), probabilities: logits.softmax(1) };
  },
});
