/**
 * The convolutional network of the PyTorch examples on handwritten digits: two convolutions, max pooling, dropout,
 * Adadelta and a learning rate that decays with every epoch.
 */
import { nn, optim, defineTraining, type Tensor } from "kilnjs";
import { DataLoader, mnist, transforms } from "kilnjs/data";

class Net extends nn.Module {
  conv1 = new nn.Conv2d(1, 32, 3);
  conv2 = new nn.Conv2d(32, 64, 3);
  dropout1 = new nn.Dropout(0.25);
  dropout2 = new nn.Dropout(0.5);
  fc1 = new nn.Linear(9216, 128);
  fc2 = new nn.Linear(128, 10);

  /** `x`: `[batch, 1, 28, 28]`; gives log-probabilities `[batch, 10]`. */
  forward(x: Tensor): Tensor {
    let h = this.conv1.forward(x).relu();
    h = this.conv2.forward(h).relu().maxPool2d(2);
    h = this.dropout1.forward(h).flatten(1);
    h = this.dropout2.forward(this.fc1.forward(h).relu());
    return this.fc2.forward(h).logSoftmax(1);
  }
}

export default defineTraining({
  seed: 1,
  epochs: 1,
  data() {
    const transform = transforms.compose([transforms.toTensor(), transforms.normalize([0.1307], [0.3081])]);
    return {
      train: new DataLoader(mnist({ split: "train", transform }), { batchSize: 64, shuffle: true }),
      test: new DataLoader(mnist({ split: "test", transform }), { batchSize: 500 }),
    };
  },
  setup() {
    const model = new Net();
    const criterion = new nn.NLLLoss();
    const optimizer = new optim.Adadelta(model.parameters(), { lr: 1 });
    const scheduler = new optim.lrScheduler.StepLR(optimizer, { stepSize: 1, gamma: 0.7 });
    return { model, criterion, optimizer, scheduler };
  },
  trainStep({ model, criterion, optimizer }, [images, labels]) {
    optimizer.zeroGrad();
    const loss = criterion.forward(model.forward(images), labels);
    loss.backward();
    optimizer.step();
    return { loss };
  },
  evalStep({ model, criterion }, [images, labels]) {
    const output = model.forward(images);
    return { loss: criterion.forward(output, labels), correct: output.argmax(1).eq(labels).sum() };
  },
});
