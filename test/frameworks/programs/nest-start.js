// NestJS's first steps (docs.nestjs.com), as its compiler writes the decorators; bootstrap's last statement was await app.listen(3000).
import "reflect-metadata";
import { Controller, Get, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";

class AppController {
  getHello() {
    return "Hello World!";
  }
}
const method = Object.getOwnPropertyDescriptor(AppController.prototype, "getHello");
Get()(AppController.prototype, "getHello", method);
Controller()(AppController);

class AppModule {}
Module({ controllers: [AppController] })(AppModule);

async function bootstrap() {
  return NestFactory.create(AppModule, { logger: false });
}

export default bootstrap;
