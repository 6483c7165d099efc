// The same on NestJS's fastify adapter.
import "reflect-metadata";
import { Controller, Get, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter } from "@nestjs/platform-fastify";

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

export default await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false });
