// C++: exceptions through frames with destructors, iostreams, thread_local, static objects.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Guard {
    explicit Guard(std::string name) : name_(std::move(name)) {}
    ~Guard() { std::cout << "leaves " << name_ << "\n"; }
    std::string name_;
};

static Guard global("the program");
thread_local int per_thread = 41;

static int fails(int depth)
{
    Guard guard("depth " + std::to_string(depth));
    if (depth == 0)
        throw std::out_of_range("the bottom");
    return fails(depth - 1) + 1;
}

int main()
{
    try {
        fails(3);
    } catch (const std::exception &error) {
        std::cout << "caught " << error.what() << "\n";
    }
    try {
        try {
            throw 42;
        } catch (int number) {
            std::cout << "again " << number << "\n";
            throw;
        }
    } catch (...) {
        std::cout << "anything\n";
    }
    std::cout << "thread_local " << ++per_thread << "\n";
    std::map<std::string, std::vector<int>> table;
    std::string word;
    for (std::istringstream words("one two three two one two"); words >> word;)
        table[word].push_back(static_cast<int>(table.size()));
    for (const auto &[key, values] : table)
        std::cout << key << " " << values.size() << "\n";
    char path[] = "/tmp/birgus-cpp-XXXXXX";
    int fd = mkstemp(path);
    std::cout << "mkstemp " << (fd >= 0) << "\n";
    {
        std::ofstream out(path);
        out << "line " << 1 << "\nline " << 2 << std::endl;
    }
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);)
        std::cout << "[" << line << "]\n";
    std::cout << "remove " << std::remove(path) << "\n";
    std::ifstream none(path);
    std::cout << "open " << none.is_open() << "\n";
    try {
        std::vector<int> v(3);
        std::cout << v.at(10);
    } catch (const std::out_of_range &) {
        std::cout << "out of range\n";
    }
    try {
        std::vector<char> huge;
        huge.resize(1ul << 62);
    } catch (const std::bad_alloc &) {
        std::cout << "bad_alloc\n";
    }
    std::cerr << "to stderr\n";
    return 5;
}
